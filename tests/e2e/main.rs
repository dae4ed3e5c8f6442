//! The bundle's promises, asked over HTTP.
#![allow(missing_docs, reason = "tests name what they promise")]
