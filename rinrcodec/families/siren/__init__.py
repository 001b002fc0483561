"""`siren`: a small MLP with sine activations for every frame or object (Rapid-INR)."""
