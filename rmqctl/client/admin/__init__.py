"""Administration: `Admin` for programs, and beneath it one module per thing that is administered.

The commands load the modules one by one, so this package imports none of them; programs take `Admin` from
`rmqctl.client`.
"""
