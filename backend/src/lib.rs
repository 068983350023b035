//! Everything a client touches: doors, accounts, policy, services. The program is `sampan`.
