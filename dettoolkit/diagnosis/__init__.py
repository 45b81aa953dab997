"""What is wrong, told early: each diagnosis returns Findings, which cli prints and report draws."""
