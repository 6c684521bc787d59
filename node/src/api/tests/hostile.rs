//! Bodies and connections that mean harm (FAULTS A5).

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::limits::CONNECTIONS_MAX;
use super::fake::CHANNEL;
use super::serve;

#[tokio::test]
async fn a5_numbers_keys_and_depth_are_refused_with_a_reason() {
    let served = serve().await;
    let path = format!("/v1/channels/{CHANNEL}/pay");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let amounts =
        ["1", "1e30", "-0", "9007199254740993", "1.5", "null", "\"-0\"", "\"1e30\"", "\"01\"", &deep];
    for amount in amounts {
        let (status, answer) = served.post(&path, &format!(r#"{{"amount":{amount}}}"#)).await;
        assert_eq!((status, answer["code"].as_str()), (400, Some("invalid_json")), "{answer}");
        assert!(
            answer["detail"].as_str().is_some_and(|detail| (10..1000).contains(&detail.len())),
            "{answer}"
        );
    }
    for timeout in ["1e30", "-0", "9007199254740993.0", "\"5\""] {
        let (status, _) = served.post(&path, &format!(r#"{{"amount":"1","timeout_ms":{timeout}}}"#)).await;
        assert_eq!(status, 400, "{timeout}");
    }
    for body in [
        "",
        "{",
        "[]",
        "[\"1\"]",
        " [\"1\",null,null,\"sent\",null]",
        "null",
        "  ",
        "{}",
        "{\"amount\":\"1\"} x",
        "{\"amount\":\"1\",\"amount\":\"2\"}",
        "{\"amount\":\"1\",\"x\":1}",
        "{'amount':'1'}",
        "{\"amount\":\"1\",}",
        "\u{feff}{\"amount\":\"1\"}",
    ] {
        let (status, answer) = served.post(&path, body).await;
        assert_eq!((status, answer["code"].as_str()), (400, Some("invalid_json")), "{body}: {answer}");
    }
    assert_eq!(served.fake.paid(), 0);
    served.stop().await;
}

#[tokio::test]
async fn n12_an_error_repeats_foreign_text_escaped_and_cut() {
    let served = serve().await;
    let body = format!(r#"{{"amount":"1","wait":"\u001b[2J\u202e{}"}}"#, "x".repeat(5000));
    let (_, answer) = served.post(&format!("/v1/channels/{CHANNEL}/pay"), &body).await;
    let detail = answer["detail"].as_str().expect("a detail");
    assert!(detail.contains("\\u{1b}[2J\\u{202e}") && detail.len() < 1000, "{detail}");
    served.stop().await;
}

#[tokio::test]
async fn a5_a_body_over_the_limit_is_refused_announced_or_not() {
    let served = serve().await;
    let token = served.token.expose();
    let head = format!(
        "POST /v1/wallet/send HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
        content-type: application/json\r\nconnection: close\r\n"
    );
    let announced = format!("{head}content-length: 99999999999\r\n\r\n");
    let answer = served.raw(announced.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("body_too_large"), "{answer}");

    // Chunked: the length is known only as it comes. The server may close while it is still coming.
    let mut stream = TcpStream::connect(served.address).await.expect("it listens");
    stream.write_all(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes()).await.expect("it reads");
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for _ in 0..4 {
        stream.write_all(chunk.as_bytes()).await.expect("it reads up to the limit");
    }
    stream.write_all(b"1\r\n \r\n").await.expect("it reads up to the limit");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("it answers");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    served.stop().await;
}

#[tokio::test]
async fn a5_a_header_over_the_limit_is_refused() {
    let served = serve().await;
    let request = format!(
        "GET /health HTTP/1.1\r\nhost: localhost\r\nx: {}\r\nconnection: close\r\n\r\n",
        "x".repeat(8_000_000)
    );
    let mut stream = TcpStream::connect(served.address).await.expect("it listens");
    let _may_be_cut_off = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _may_be_cut_off = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    served.client.health().await.expect("others are served");
    served.stop().await;
}

#[tokio::test]
async fn a5_connections_over_the_limit_are_turned_away() {
    let served = serve().await;
    let mut idle = Vec::new();
    let mut turned_away = 0;
    for _ in 0..CONNECTIONS_MAX + 8 {
        let mut stream = TcpStream::connect(served.address).await.expect("it listens");
        // The last ones are answered without having asked; the others wait for a request.
        if idle.len() == CONNECTIONS_MAX {
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("it answers");
            assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("too_many_requests"), "{answer}");
            turned_away += 1;
        } else {
            idle.push(stream);
        }
    }
    assert_eq!(turned_away, 8);
    // Room is made as soon as the server has seen one go.
    drop(idle);
    let mut tries = 0;
    while served.client.health().await.is_err() {
        tries += 1;
        assert!(tries < 1000, "the room of closed connections is not given back");
        tokio::task::yield_now().await;
    }
    served.stop().await;
}
