"""What a member is: for each kind its rule, its written form, and a codec from texts to keys and back."""
