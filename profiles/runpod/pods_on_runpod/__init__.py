"""GPU jobs on RunPod pods: one pod a job, deleted when the job ends, however it ends."""
