"""The contract that the control plane, the job programs and the clients share."""
