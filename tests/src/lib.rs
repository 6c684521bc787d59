//! End-to-end tests over real processes. They stand in `tests/`; what they share is here: networks to try (`kit`), HTTP
//! without manners (`http`), disks that fail (`disk`), power that does (`power`), hosts and the wires between them (`hosts`), peers without manners (`stranger`), malformed requests (`requests`) and
//! malformed inputs of every kind by the thousand (`storm`), and a peer that speaks the channel protocol and lies in it (`impostor`).

pub mod cheat;
pub mod damage;
pub mod disk;
pub mod hosts;
pub mod http;
pub mod impostor;
pub mod kit;
pub mod power;
pub mod requests;
pub mod storm;
pub mod stranger;
