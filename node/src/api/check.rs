//! Whether a request that has the right form also has sensible values, before the node is asked.

use std::time::Duration;

use towpath_api::limits::{
    CHANNELS_TOGETHER_MAX, IDEMPOTENCY_KEY_BYTES_MAX, MEMO_BYTES_MAX, PAGE_MAX, STREAM_IN_FLIGHT_MAX,
    WAIT_MS_DEFAULT, WAIT_MS_MAX,
};
use towpath_api::{
    Change, Code, EventType, OpenChannel, OpenChannels, Pay, ResizeChannel, StartStream, Units, WalletSend,
};

use super::problem::Problem;

type Checked = Result<(), Problem>;

pub fn pay(request: &Pay) -> Checked {
    amount("amount", request.amount)?;
    idempotency_key(request.idempotency_key.as_deref())?;
    match &request.memo {
        Some(memo) if memo.len() > MEMO_BYTES_MAX => {
            Err(invalid(format!("the memo has {} bytes, at most {MEMO_BYTES_MAX} are allowed", memo.len())))
        }
        Some(_) | None => Ok(()),
    }
}

pub fn resize(request: &ResizeChannel) -> Checked {
    let (Change::Add(change) | Change::PayOut(change)) = request.change;
    amount("change", change)?;
    idempotency_key(request.idempotency_key.as_deref())
}

pub fn start_stream(request: &StartStream) -> Checked {
    amount("amount", request.amount)?;
    idempotency_key(request.idempotency_key.as_deref())?;
    if request.count == 0 {
        return Err(invalid("count is zero: a stream has at least one payment".to_owned()));
    }
    if !(1..=STREAM_IN_FLIGHT_MAX).contains(&request.in_flight) {
        return Err(invalid(format!("in_flight is {}, not 1 to {STREAM_IN_FLIGHT_MAX}", request.in_flight)));
    }
    // The whole stream must be countable, so that no sum of it can overflow.
    request.amount.0.checked_mul(request.count).map(|_sum| ()).ok_or_else(|| {
        Problem::new(Code::InvalidAmount, "amount times count is more than the largest amount")
    })
}

pub fn send(request: &WalletSend) -> Checked {
    amount("amount", request.amount)?;
    idempotency_key(request.idempotency_key.as_deref())
}

pub fn open_channel(request: &OpenChannel) -> Checked {
    idempotency_key(request.idempotency_key.as_deref())?;
    let ours = request.amount.0;
    let capacity = ours.checked_add(request.peer_amount.unwrap_or_default().0);
    match capacity {
        None => Err(Problem::new(
            Code::InvalidAmount,
            "amount and peer_amount together exceed the largest amount",
        )),
        Some(0) => Err(Problem::new(Code::InvalidAmount, "amount and peer_amount are both zero")),
        Some(_) => Ok(()),
    }
}

pub fn open_channels(request: &OpenChannels) -> Checked {
    idempotency_key(request.idempotency_key.as_deref())?;
    let count = request.channels.len();
    if !(1..=CHANNELS_TOGETHER_MAX).contains(&count) {
        return Err(invalid(format!("{count} channels, not 1 to {CHANNELS_TOGETHER_MAX}")));
    }
    let mut sum = Units(0);
    for channel in &request.channels {
        amount("amount", channel.amount)?;
        let more = sum.0.checked_add(channel.amount.0);
        sum = Units(more.ok_or_else(|| {
            Problem::new(Code::InvalidAmount, "the amounts together exceed the largest amount")
        })?);
    }
    Ok(())
}

/// How long a request may wait for its outcome.
pub fn wait(timeout_ms: Option<u64>) -> Result<Duration, Problem> {
    let timeout_ms = timeout_ms.unwrap_or(WAIT_MS_DEFAULT);
    if (1..=WAIT_MS_MAX).contains(&timeout_ms) {
        return Ok(Duration::from_millis(timeout_ms));
    }
    Err(invalid(format!("timeout_ms is {timeout_ms}, not 1 to {WAIT_MS_MAX}")))
}

pub fn limit(limit: Option<u32>) -> Checked {
    match limit {
        Some(limit) if !(1..=PAGE_MAX).contains(&limit) => {
            Err(invalid(format!("limit is {limit}, not 1 to {PAGE_MAX}")))
        }
        Some(_) | None => Ok(()),
    }
}

/// The bytes of a transaction in hex.
pub fn transaction(text: &str) -> Result<Vec<u8>, Problem> {
    match hex::decode(text) {
        Ok(bytes) if !bytes.is_empty() => Ok(bytes),
        Ok(_empty) => Err(invalid("hex is empty".to_owned())),
        Err(error) => Err(invalid(format!("hex is not hexadecimal: {error}"))),
    }
}

/// The kinds of event in a comma-separated list; all without one.
pub fn event_types(list: Option<&str>) -> Result<Vec<EventType>, Problem> {
    let Some(list) = list else { return Ok(EventType::ALL.to_vec()) };
    list.split(',')
        .map(|name| {
            EventType::ALL.into_iter().find(|kind| kind.as_str() == name.trim()).ok_or_else(|| {
                let known: Vec<&str> = EventType::ALL.iter().map(|kind| kind.as_str()).collect();
                let detail = format!("'{name}' is no kind of event; there are {}", known.join(", "));
                Problem::quoting(Code::InvalidRequest, &detail)
            })
        })
        .collect()
}

fn amount(field: &str, amount: Units) -> Checked {
    if amount.0 == 0 {
        return Err(Problem::new(Code::InvalidAmount, format!("{field} is zero")));
    }
    Ok(())
}

fn idempotency_key(key: Option<&str>) -> Checked {
    let Some(key) = key else { return Ok(()) };
    let is_plain = key.bytes().all(|byte| byte.is_ascii_graphic());
    if is_plain && (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) {
        return Ok(());
    }
    Err(invalid(format!(
        "idempotency_key is not 1 to {IDEMPOTENCY_KEY_BYTES_MAX} printable ASCII characters"
    )))
}

fn invalid(detail: String) -> Problem {
    Problem::new(Code::InvalidRequest, detail)
}
