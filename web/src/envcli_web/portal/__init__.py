"""The publishers' portal: publisher profiles and the tokens that their tools use."""
