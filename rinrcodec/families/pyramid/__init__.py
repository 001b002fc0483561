"""`pyramid`: entropy-coded latents and small networks (COOL-CHIC class)."""
