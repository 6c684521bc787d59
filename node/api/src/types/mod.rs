//! What requests and answers are made of, a file for each part of the API.

mod backup;
mod channels;
mod closing;
mod events;
mod info;
mod ledger;
mod payments;
mod peers;
mod stats;
mod towers;
mod units;
mod wallet;

pub use backup::{BackupPage, BackupQuery};
pub use channels::{
    Change, Channel, ChannelEvent, ChannelEventPage, ChannelPage, ChannelQuery, ChannelState, ChannelTotals,
    CloseChannel, CloseMode, CloseWait, Closed, DamagedChannel, OpenChannel, OpenChannels, OpenOne, OpenWait,
    OpenedChannels, OpenedOne, Outcome, PageQuery, ResizeChannel, ResizeState, ResizeWait, Resized, Resizing,
    Role, Side, StoredBytes,
};
pub use closing::{
    Close, CloseReason, CloseStage, Penalty, PostedState, ReplacedState, SettledBy, Settlement,
};
pub use events::{Event, EventBody, EventItem, EventQuery, EventType, Gap};
pub use info::{Health, Info, LedgerTip, Mode, Ready, RecoveryInfo, Travel};
pub use ledger::{
    Block, Certificate, CertifiedHeader, HeaderPage, HeaderQuery, LedgerInfo, Lock, MempoolInfo, OutputInfo,
    OutputProof, SubmitTransaction, Submitted, Transaction, TransactionStatus, TxInput, TxOutput,
    ValidatorInfo,
};
pub use payments::{
    Direction, Latency, Pay, PayWait, Payment, PaymentPage, PaymentState, StartStream, Stream, StreamState,
};
pub use peers::{ConnectPeer, Peer, PeerDirection, Peers};
pub use stats::{BatchStats, Stats};
pub use towers::{
    AddTower, ServeTower, Tower, TowerChannel, TowerChannels, TowerClient, TowerClients, TowerDropped,
    TowerHealth, TowerInfo, TowerQuery,
};
pub use units::{Units, UnitsError, grouped};
pub use wallet::{
    HistoryEntry, HistoryKind, HistoryPage, HistoryQuery, NewAddress, Wallet, WalletSend, WalletSent,
};

#[cfg(test)]
mod tests;
