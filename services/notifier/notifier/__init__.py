"""notifier: writes and sends the mails, and says what became of them."""
