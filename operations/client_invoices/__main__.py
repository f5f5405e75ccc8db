"""`python -m client_invoices` is the command `client-invoices`."""

from client_invoices.cli import main

if __name__ == "__main__":
    main()
