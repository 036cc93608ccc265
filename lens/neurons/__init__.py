"""What a unit answers to: dataset examples, multimodal search and its statistics, words."""
