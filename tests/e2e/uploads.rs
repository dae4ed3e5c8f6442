//! Uploads that are not what they were said to be: S3 refuses them, or the file is rejected.

use bytes::Bytes;
use http_body_util::StreamBody;
use reqwest::header::{CONTENT_TYPE, HeaderName};
use serde_json::{Value, json};

use crate::documents::{compound, docx, docx_without_its_text, exe, pdf, png, xlsx, zip};
use crate::drive::{Drive, Upload};

const SHA256: &str = "x-amz-checksum-sha256";

/// A place for `png(100)`, with or without its checksum told.
async fn place(drive: &Drive, checksum: bool) -> (Value, Upload) {
    let mut body = json!({"filename": "a.png", "size": 100});
    if checksum {
        use sha2::Digest as _;
        let digest: [u8; 32] = sha2::Sha256::digest(png(100)).into();
        body["sha256"] = json!(shared::sha256::Sha256::from(digest));
    }
    let answer = drive.try_create(&body).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let file = answer.json();
    let upload = Upload::of(&file);
    (file, upload)
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_takes_what_was_signed_and_nothing_else() {
    let Some(drive) = Drive::start().await else { return };
    let (file, upload) = place(&drive, true).await;
    assert!(upload.headers.contains_key(SHA256), "{:?}", upload.headers);
    let (_, other) = place(&drive, false).await;

    // Other sizes.
    for size in [99, 101, 10_485_761] {
        let put = drive.put(&upload, png(size)).await;
        assert_eq!((put.status.as_u16(), put.code().as_str()), (403, "SignatureDoesNotMatch"), "{size}");
    }
    // No size.
    let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>(hyper::body::Frame::data(
        Bytes::from(png(100)),
    ))]);
    let put = drive.put(&upload, reqwest::Body::wrap(StreamBody::new(chunks))).await;
    assert!(put.status.is_client_error(), "{}", put.status);
    // Other bytes than those of the checksum.
    let mut bytes = png(100);
    bytes[99] ^= 1;
    let put = drive.put(&upload, bytes.clone()).await;
    assert_eq!(put.status, 400, "{}", put.code());
    // Other headers, or fewer.
    for (name, value) in
        [("content-type", "image/gif"), ("if-none-match", "\"1\""), (SHA256, &"A".repeat(43))]
    {
        let mut changed = upload.clone();
        changed.headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        assert_eq!(drive.put(&changed, png(100)).await.status, 403, "{name}: {value}");
        changed.headers.remove(name);
        assert_eq!(drive.put(&changed, png(100)).await.status, 403, "no {name}");
    }
    // Another key, though it is one that somebody may write.
    let key = |upload: &Upload| upload.url.split('?').next().unwrap().to_owned();
    let moved = Upload { url: upload.url.replace(&key(&upload), &key(&other)), ..upload.clone() };
    assert_eq!(drive.put(&moved, png(100)).await.status, 403);
    // Another method.
    assert_eq!(drive.fetch(&upload.url).await.status, 403);
    assert_eq!(drive.objects().await, [""; 0]);

    // After all that it is still what it was.
    assert_eq!(drive.put(&upload, png(100)).await.status, 200);
    // Once: whether it was looked at already or not.
    let again = drive.put(&upload, png(100)).await;
    assert!([200, 412].contains(&again.status.as_u16()), "{}", again.status);
    assert_eq!(drive.settled(&file).await["status"], "ACTIVE");
    drive.wait_for_objects(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_with_one_byte_changed_is_refused() {
    let Some(drive) = Drive::embedded().await else { return };
    let (file, upload) = place(&drive, true).await;
    let (head, query) = upload.url.split_once('?').unwrap();
    let mut tried = 0;
    for (place, pair) in query.split('&').enumerate() {
        let (name, value) = pair.split_once('=').unwrap();
        for at in [0, value.len() / 2, value.len() - 1] {
            let old = value.as_bytes()[at];
            let new = if old == b'1' { '2' } else { '1' };
            let value = format!("{}{new}{}", &value[..at], &value[at + 1..]);
            let mut pairs: Vec<String> = query.split('&').map(ToOwned::to_owned).collect();
            pairs[place] = format!("{name}={value}");
            let changed = Upload { url: format!("{head}?{}", pairs.join("&")), ..upload.clone() };
            let put = drive.put(&changed, png(100)).await;
            assert!([400, 403, 501].contains(&put.status.as_u16()), "{name}={value}: {}", put.status);
            tried += 1;
        }
        let fewer: Vec<&str> = query.split('&').filter(|other| *other != pair).collect();
        let changed = Upload { url: format!("{head}?{}", fewer.join("&")), ..upload.clone() };
        let put = drive.put(&changed, png(100)).await;
        assert!([400, 403, 501].contains(&put.status.as_u16()), "without {name}: {}", put.status);
    }
    assert!(tried >= 6 * 3, "{query}");
    let nothing = drive.put(&Upload { url: head.to_owned(), ..upload.clone() }, png(100)).await;
    assert_eq!(nothing.status, 403, "without a signature");
    assert_eq!(drive.objects().await, [""; 0]);
    assert_eq!(drive.read(&file).await.json()["status"], "PENDING");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_holds_for_a_quarter_of_an_hour_and_a_download_for_an_hour() {
    let Some(drive) = Drive::embedded().await else { return };
    let (file, upload) = place(&drive, false).await;
    let (late, other) = place(&drive, false).await;
    drive.app.advance_clock(14 * 60).await;
    assert_eq!(drive.put(&upload, png(100)).await.status, 200);
    let file = drive.settled(&file).await;
    let url = drive.download(&file).await.json()["downloadUrl"].as_str().unwrap().to_owned();
    drive.app.advance_clock(61).await;
    let put = drive.put(&other, png(100)).await;
    assert_eq!((put.status.as_u16(), put.code().as_str()), (403, "AccessDenied"));
    assert_eq!(drive.read(&late).await.json()["status"], "PENDING");
    drive.app.advance_clock(58 * 60).await;
    assert_eq!(drive.fetch(&url).await.status, 200);
    drive.app.advance_clock(61).await;
    assert_eq!(drive.fetch(&url).await.status, 403);
    // The object alone says nothing to nobody.
    assert_eq!(drive.fetch(url.split('?').next().unwrap()).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_lies_is_rejected_for_a_reason_and_leaves_nothing() {
    let Some(drive) = Drive::start().await else { return };
    let bomb = docx(&vec![0; 30 << 20]);
    assert!(bomb.len() < 100_000);
    let mut damaged = docx(b"<w:document/>".repeat(100).as_slice());
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    let mut short = compound("WordDocument");
    short.truncate(600);
    let many: Vec<(String, &[u8])> = (0..10_001).map(|number| (number.to_string(), &b""[..])).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
    let lies = [
        ("an.exe.png", exe(), "TYPE_MISMATCH"),
        ("page.pdf", b"<html>".to_vec(), "TYPE_MISMATCH"),
        ("page-and.pdf", b"<html><!--%PDF-1.7\n-->".to_vec(), "TYPE_MISMATCH"),
        ("exe-and.pdf", [exe(), pdf(100)].concat(), "TYPE_MISMATCH"),
        ("other.jpg", png(100), "TYPE_MISMATCH"),
        ("zip.docx", zip(&[("a.txt", b"hello")]), "TYPE_MISMATCH"),
        ("empty.docx", docx_without_its_text(), "TYPE_MISMATCH"),
        ("table.docx", xlsx(), "TYPE_MISMATCH"),
        ("text.xlsx", docx(b"<w:document/>"), "TYPE_MISMATCH"),
        ("old.docx", compound("WordDocument"), "TYPE_MISMATCH"),
        ("old.xls", compound("WordDocument"), "TYPE_MISMATCH"),
        ("new.doc", docx(b"<w:document/>"), "TYPE_MISMATCH"),
        ("short.doc", short, "TYPE_MISMATCH"),
        ("damaged.docx", damaged, "MALFORMED"),
        ("head.docx", b"PK\x03\x04 and no more".to_vec(), "MALFORMED"),
        ("bomb.docx", bomb, "EXPANDS_TOO_FAR"),
        ("many.xlsx", zip(&many), "EXPANDS_TOO_FAR"),
    ];
    let mut sent = Vec::new();
    for (filename, bytes, reason) in lies {
        sent.push((drive.upload(filename, &bytes).await, reason));
    }
    for (file, reason) in &sent {
        let file = drive.settled(file).await;
        assert_eq!((&file["status"], &file["reason"]), (&json!("REJECTED"), &json!(reason)), "{file}");
        assert_eq!(
            (&file["url"], &file["uploadedAt"], &file["sha256"]),
            (&Value::Null, &Value::Null, &Value::Null)
        );
        drive.download(&file).await.problem(404, "NOT_FOUND");
    }
    drive.wait_for_objects(0).await;
    // And what comes under the same URL afterwards does not help: the content type is that of a PNG.
    let again = drive.put(&Upload::of(&sent[0].0), png(512)).await;
    assert_eq!(again.status, 200);
    drive.wait_for_objects(0).await;
    assert_eq!(drive.read(&sent[0].0).await.json()["status"], "REJECTED");
    assert_eq!(drive.events().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_may_upload_and_download() {
    let Some(drive) = Drive::start().await else { return };
    let (file, upload) = place(&drive, true).await;
    let client = reqwest::Client::new();
    let asked = "content-type,if-none-match,x-amz-checksum-sha256";
    let preflight = client
        .request(reqwest::Method::OPTIONS, &upload.url)
        .header("origin", "http://localhost:5173")
        .header("access-control-request-method", "PUT")
        .header("access-control-request-headers", asked);
    let answer = drive.of_s3(preflight).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    let allowed = answer.headers["access-control-allow-headers"].to_str().unwrap();
    assert_eq!(allowed.replace(' ', ""), asked);
    let put = client.put(&upload.url).headers(upload.headers.clone()).body(png(100));
    let put = drive.of_s3(put.header("origin", "http://localhost:5173")).await;
    assert_eq!(
        (put.status.as_u16(), &put.headers["access-control-allow-origin"]),
        (200, &"*".parse().unwrap())
    );
    let file = drive.settled(&file).await;
    let url = drive.download(&file).await.json()["downloadUrl"].as_str().unwrap().to_owned();
    let fetched = drive.of_s3(client.get(&url).header("origin", "http://localhost:5173")).await;
    assert_eq!(
        (fetched.status.as_u16(), &fetched.headers["access-control-allow-origin"]),
        (200, &"*".parse().unwrap())
    );
    assert_eq!(fetched.headers[CONTENT_TYPE], "image/png");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_file_goes_through() {
    let Some(drive) = Drive::start().await else { return };
    let bytes = pdf(10_485_760);
    let file = drive.active("large.pdf", &bytes).await;
    let url = drive.download(&file).await.json()["downloadUrl"].as_str().unwrap().to_owned();
    assert!(drive.fetch(&url).await.body == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_says_beside_what_was_signed_does_not_come_along() {
    let Some(drive) = Drive::embedded().await else { return };
    let (file, upload) = place(&drive, false).await;
    let mut more = upload;
    for (name, value) in [
        ("content-encoding", "gzip"),
        ("content-language", "tlh"),
        ("content-disposition", "inline"),
        ("cache-control", "public, max-age=31536000"),
    ] {
        more.headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    assert_eq!(drive.put(&more, png(100)).await.status, 200);
    let file = drive.settled(&file).await;
    let url = drive.download(&file).await.json()["downloadUrl"].as_str().unwrap().to_owned();
    let fetched = drive.fetch(&url).await;
    assert_eq!(
        fetched.headers["content-disposition"],
        "attachment; filename=\"a.png\"; filename*=UTF-8''a.png"
    );
    for name in ["content-encoding", "content-language", "cache-control"] {
        assert_eq!(fetched.headers.get(name), None, "{name}");
    }
    assert!(fetched.body == png(100));
}
