//! The one table of error codes: a code never changes its meaning, and none is ever used for a second one.
//!
//! Scripts match on `code`; `title`, `detail` and `hint` are for people and may be reworded.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $status:literal, $title:literal, $hint:literal;)+) => {
        /// What went wrong, as a stable name.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Code {
            $($(#[$doc])* $variant,)+
        }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name that travels.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The HTTP status that it comes with.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)+ }
            }

            /// One line for people, the same for every error of this code.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }

            /// What to do about it unless the error itself says more; empty if nothing general helps.
            #[must_use]
            pub const fn hint(self) -> &'static str {
                match self { $(Self::$variant => $hint,)+ }
            }
        }
    };
}

codes! {
    /// A field, a parameter or their combination is not valid.
    InvalidRequest = "invalid_request", 400, "The request is not valid", "";
    /// The body is not the JSON that the route takes.
    InvalidJson = "invalid_json", 400, "The body is not the JSON that this route takes",
        "see the route in /openapi.json; amounts are decimal strings, times are integers of milliseconds";
    /// An amount is zero, too large, or not a decimal string of base units.
    InvalidAmount = "invalid_amount", 400, "The amount is not valid",
        "give a decimal string of base units, such as \"2500\"";
    /// A text is not an id of the kind that is needed.
    InvalidId = "invalid_id", 400, "The id is not valid", "copy the whole id as the node prints it";
    /// No token, or not the node's.
    Unauthorized = "unauthorized", 401, "The request carries no valid token",
        "send 'Authorization: Bearer <token>'; the token is in the file api.token of the node's data folder";
    /// The `Origin` is not allowed.
    ForbiddenOrigin = "forbidden_origin", 403, "Requests from this origin are refused",
        "the API is for local programs; web pages of other origins may not call it";
    /// The `Host` is not one that this node answers to.
    ForbiddenHost = "forbidden_host", 421, "Requests for this host are refused",
        "call the node by the address that it listens on, such as http://127.0.0.1:7420";
    /// No such route.
    RouteNotFound = "route_not_found", 404, "There is no such route", "see /openapi.json for all routes";
    /// The route exists, with other methods.
    MethodNotAllowed = "method_not_allowed", 405, "The route does not take this method",
        "see /openapi.json for all routes";
    /// No such channel.
    ChannelNotFound = "channel_not_found", 404, "There is no such channel", "list the channels for their ids";
    /// No such stream, or it ended too long ago.
    StreamNotFound = "stream_not_found", 404, "There is no such stream",
        "streams are kept in memory: they end with the node, and old ones are forgotten";
    /// No such peer.
    PeerNotFound = "peer_not_found", 404, "There is no such peer", "list the peers for their ids";
    /// Not one of this node's watchtowers.
    TowerNotFound = "tower_not_found", 404, "The node does not use that watchtower", "list the towers for their ids";
    /// No such transaction, neither waiting nor final.
    TransactionNotFound = "transaction_not_found", 404, "There is no such transaction", "";
    /// No such block.
    BlockNotFound = "block_not_found", 404, "There is no such block", "";
    /// No such output, or it is spent.
    OutputNotFound = "output_not_found", 404, "There is no such unspent output", "";
    /// The short form of an id fits several.
    AmbiguousId = "ambiguous_id", 409, "The id fits more than one", "give more letters of it";
    /// The idempotency key was used for another request.
    IdempotencyConflict = "idempotency_conflict", 409, "The idempotency key was used for another request",
        "use a new key for a new request; repeat a key only with the same content";
    /// The channel's state doesn't allow this.
    ChannelNotActive = "channel_not_active", 409, "The channel is not active", "";
    /// What is stored of the channel can't be used.
    ChannelDamaged = "channel_damaged", 409, "The channel needs recovery",
        "nothing is signed or closed for it here; keep the node running: the peer can close it, and the ledger pays both";
    /// This side of the channel can't pay that much.
    InsufficientBalance = "insufficient_balance", 409, "This side of the channel cannot pay that much",
        "pay less, or open another channel; the channel's reserve can't be spent";
    /// The wallet can't pay that much.
    InsufficientFunds = "insufficient_funds", 409, "The wallet has too little",
        "wait for what is pending, close a channel, or have funds sent to a new address";
    /// The peer is not connected.
    PeerOffline = "peer_offline", 409, "The peer is not connected", "connect to it, or try again later";
    /// The peer said no.
    PeerRefused = "peer_refused", 409, "The peer refused", "";
    /// Payments are final only with this watchtower.
    TowerNeeded = "tower_needed", 409, "Payments wait for this watchtower",
        "add another tower first, or lower tower.confirmations";
    /// The payment failed, and nothing was paid.
    PaymentFailed = "payment_failed", 409, "The payment failed; nothing was paid", "";
    /// The history that was asked for is pruned.
    Pruned = "pruned", 410, "This history is no longer kept", "raise the retention settings to keep more";
    /// The ledger's rules refuse the transaction.
    TransactionRejected = "transaction_rejected", 422, "The ledger's rules refuse the transaction", "";
    /// The request took too long to arrive.
    RequestTimeout = "request_timeout", 408, "The request took too long to arrive", "";
    /// The body is too large.
    BodyTooLarge = "body_too_large", 413, "The body is too large", "bodies have at most 256 KiB";
    /// The body is not JSON by its content type.
    UnsupportedMediaType = "unsupported_media_type", 415, "The content type is not application/json",
        "send 'Content-Type: application/json'";
    /// Too much at once.
    TooManyRequests = "too_many_requests", 429, "The node has too much to do", "try again in a moment";
    /// A fault of the node.
    Internal = "internal", 500, "The node failed", "its log says more; please report it";
    /// The node doesn't do this yet, or not any more: starting, catching up or stopping.
    NotReady = "not_ready", 503, "The node is not ready", "try again when GET /ready answers 200";
    /// The node lost data and doesn't sign until it has recovered.
    Recovery = "recovery", 503, "The node is in recovery and signs nothing",
        "leave it running and connected to its peers until 'towpath info' says running";
    /// The time that the request gave is over; the outcome is still open.
    WaitTimeout = "wait_timeout", 504, "The outcome was not known in time",
        "the operation goes on: look at its state, or repeat it with the same idempotency key";
    /// A code that this version doesn't know; only ever seen by a client that is older than its node.
    Unrecognised = "unrecognised", 500, "An error that this version does not know", "update this program";
}

impl std::str::FromStr for Code {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::ALL.iter().copied().find(|code| code.as_str() == text).unwrap_or(Self::Unrecognised))
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let Ok(code) = text.parse();
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Code;
    use crate::error::ApiError;

    #[test]
    fn codes_are_distinct_snake_case_and_travel() {
        let texts: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(code.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{code}");
            assert!((400..600).contains(&code.status()), "{code}");
            let json = serde_json::to_string(code).expect("writes");
            assert_eq!(serde_json::from_str::<Code>(&json).expect("reads"), *code);
        }
        assert_eq!(serde_json::from_str::<Code>("\"from_the_future\"").expect("reads"), Code::Unrecognised);
    }

    #[test]
    fn an_error_travels_as_problem_details() {
        let error = ApiError::new(Code::InsufficientFunds, "the wallet has 5 available, 7 are needed");
        let json = serde_json::to_value(&error).expect("writes");
        assert_eq!(
            json,
            serde_json::json!({
                "type": "urn:towpath:error:insufficient_funds",
                "title": "The wallet has too little",
                "status": 409,
                "code": "insufficient_funds",
                "detail": "the wallet has 5 available, 7 are needed",
                "hint": "wait for what is pending, close a channel, or have funds sent to a new address",
            })
        );
        assert_eq!(serde_json::from_value::<ApiError>(json).expect("reads"), error);
    }
}
