"""What an installation of Client Invoices is made of, and the command its operators use."""
