"""Floor 2: the only place with torch, transformers, trl and peft. `settings` is light, the other modules not."""
