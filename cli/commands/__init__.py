"""The commands of `rinrcodec`, one module each."""
