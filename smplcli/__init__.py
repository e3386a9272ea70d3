"""Human pose and shape (SMPL) from pictures."""
