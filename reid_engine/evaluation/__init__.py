"""What a model is worth: CMC, mAP and mINP, diff attention beside plain cosine."""
