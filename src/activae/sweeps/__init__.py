"""Many runs of one command: trained together, each leaving its own run folder."""
