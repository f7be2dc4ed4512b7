"""What the guest's screen shows, from the messages of display and cursor channels."""
