//! What this crate reads from bytes.

use towpath_crypto::codec::Readable;
use towpath_crypto::readable;

use crate::channel::{Fixed, OpenProposal, Resizing, Witnesses};
use crate::epoch::{Epoch, Hello};
use crate::journal::ChannelEvent;
use crate::limits::{MESSAGE_BYTES_MAX, ROW_BYTES_MAX};
use crate::message::Message;
use crate::opening::Stored;
use crate::row::Live;
use crate::tower;
use crate::update::{Content, Transfer};

/// Every kind of bytes that this crate reads. Rows have a version byte before what is read here.
#[must_use]
pub fn decoders() -> Vec<Readable> {
    let mut all = readable![
        ROW_BYTES_MAX => Fixed, Live, OpenProposal, Resizing, Transfer, Witnesses, Stored, ChannelEvent, Content;
        MESSAGE_BYTES_MAX => Epoch, Hello
    ];
    let read = |bytes: &[u8]| Message::decode(bytes).ok().map(|message| message.encode());
    all.push(Readable { name: "towpath_protocol::message::Message", limit: MESSAGE_BYTES_MAX, read });
    all.extend(tower::decoders());
    all
}
