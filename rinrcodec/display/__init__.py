"""What people see: how far long work is, and small pictures of frames with their boxes."""
