//! Mails as they are written: a subject, HTML and the same in plain text.

use std::borrow::Cow;

use askama::Template;
use shared::id::ProductId;
use shared::job::Alert;
use shared::time::Timestamp;
use shared::{Error, Result};

/// A mail's content. It has no `Debug`: a link in it lets its reader in.
pub(super) struct Letter {
    pub(super) subject: Cow<'static, str>,
    pub(super) html: String,
    pub(super) text: String,
}

/// What separates the labels of a host's name, to a browser (UTS #46).
const DOTS: [char; 4] = ['.', '\u{3002}', '\u{ff0e}', '\u{ff61}'];

impl Letter {
    fn render(
        subject: impl Into<Cow<'static, str>>,
        html: &impl Template,
        text: &impl Template,
    ) -> Result<Self> {
        Ok(Self {
            subject: subject.into(),
            html: html.render().map_err(Error::internal)?,
            text: text.render().map_err(Error::internal)?,
        })
    }

    /// How a mail addresses its reader. A name that a mail program may take for a link is left out: anybody can
    /// register somebody else's address under a name of their making.
    fn addressee(name: &str) -> &str {
        let is_link = |word: &str| {
            let mut labels = word.trim_end_matches(DOTS).split(DOTS).rev();
            let last = labels.next().unwrap_or_default();
            labels.next().is_some() && last.chars().filter(|c| c.is_alphanumeric()).count() > 1
        };
        let mut words = name.split(|c: char| c.is_whitespace() || c == '/');
        let suspicious = name.contains("://") || name.contains('@') || words.any(is_link);
        if suspicious { "there" } else { name }
    }

    /// Greets a new user; with the link that verifies the address, unless that was done already.
    pub(super) fn welcome(name: &str, link: Option<&str>) -> Result<Self> {
        let name = Self::addressee(name);
        Self::render("Welcome to Arcana!", &WelcomeHtml { name, link }, &WelcomeText { name, link })
    }

    /// Has a link that verifies the address.
    pub(super) fn verify_email(name: &str, link: &str) -> Result<Self> {
        let name = Self::addressee(name);
        let (html, text) = (VerifyEmailHtml { name, link }, VerifyEmailText { name, link });
        Self::render("Verify your email address", &html, &text)
    }

    /// Has a link that sets a new password.
    pub(super) fn password_reset(name: &str, link: &str) -> Result<Self> {
        let name = Self::addressee(name);
        let (html, text) = (PasswordResetHtml { name, link }, PasswordResetText { name, link });
        Self::render("Password Reset Request", &html, &text)
    }

    /// Tells of what its reader may not have done.
    pub(super) fn security_alert(name: &str, alert: Alert, at: Timestamp) -> Result<Self> {
        let name = Self::addressee(name);
        let what = match alert {
            Alert::PasswordChanged => {
                "the password of your account was changed, and all its sessions were ended."
            }
            Alert::TokenReuse => {
                "a key to one of your sessions was used a second time. Somebody may have a copy of it, so the \
                 session was ended."
            }
        };
        let at = at.for_people();
        let html = SecurityAlertHtml { name, what, at: &at };
        let text = SecurityAlertText { name, what, at: &at };
        Self::render("Security alert for your Arcana account", &html, &text)
    }

    /// Tells that a product is scarce or gone.
    pub(super) fn stock_alert(product_id: ProductId, product: &str, stock: i64) -> Result<Self> {
        let (short, what) = match stock {
            0 => ("out of stock".to_owned(), format!("The last of \u{201c}{product}\u{201d} is gone.")),
            left => (format!("{left} left"), format!("\u{201c}{product}\u{201d} is down to {left}.")),
        };
        let subject = format!("Stock alert: {product}, {short}");
        let id = product_id.to_string();
        let html = StockAlertHtml { subject: &subject, what: &what, product_id: &id };
        let text = StockAlertText { subject: &subject, what: &what, product_id: &id };
        Self::render(subject.clone(), &html, &text)
    }
}

#[derive(Template)]
#[template(path = "stock-alert.html")]
struct StockAlertHtml<'a> {
    subject: &'a str,
    what: &'a str,
    product_id: &'a str,
}

#[derive(Template)]
#[template(path = "stock-alert.txt")]
struct StockAlertText<'a> {
    subject: &'a str,
    what: &'a str,
    product_id: &'a str,
}

#[derive(Template)]
#[template(path = "welcome.html")]
struct WelcomeHtml<'a> {
    name: &'a str,
    link: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "welcome.txt")]
struct WelcomeText<'a> {
    name: &'a str,
    link: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "verify-email.html")]
struct VerifyEmailHtml<'a> {
    name: &'a str,
    link: &'a str,
}

#[derive(Template)]
#[template(path = "verify-email.txt")]
struct VerifyEmailText<'a> {
    name: &'a str,
    link: &'a str,
}

#[derive(Template)]
#[template(path = "password-reset.html")]
struct PasswordResetHtml<'a> {
    name: &'a str,
    link: &'a str,
}

#[derive(Template)]
#[template(path = "password-reset.txt")]
struct PasswordResetText<'a> {
    name: &'a str,
    link: &'a str,
}

#[derive(Template)]
#[template(path = "security-alert.html")]
struct SecurityAlertHtml<'a> {
    name: &'a str,
    what: &'a str,
    at: &'a str,
}

#[derive(Template)]
#[template(path = "security-alert.txt")]
struct SecurityAlertText<'a> {
    name: &'a str,
    what: &'a str,
    at: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_write_markup_into_a_mail() {
        let name = "<script>alert(1)<b>";
        let at = Timestamp::from_ms(0);
        let letters = [
            Letter::welcome(name, Some("https://x")),
            Letter::verify_email(name, "https://x"),
            Letter::password_reset(name, "https://x"),
            Letter::security_alert(name, Alert::TokenReuse, at),
            Letter::stock_alert(ProductId::new(at), name, 3),
        ];
        for letter in letters {
            let letter = letter.unwrap();
            assert!(!letter.html.contains("<script>"), "{}", letter.subject);
            assert!(letter.text.contains("<script>"), "plain text needs no escaping: {}", letter.subject);
        }
    }

    #[test]
    fn a_name_cannot_write_a_link_into_a_mail() {
        for name in [
            "Win at https://evil.example",
            "evil.example",
            "evil\u{3002}example",
            "x evil.example.",
            "a@b.cd",
            "www.evil.com",
            "evil.example/claim now",
        ] {
            let text = Letter::welcome(name, None).unwrap().text;
            assert!(text.contains("Hello there,") && !text.contains("evil"), "{text}");
        }
        for name in
            ["Ada Lovelace", "J. R. R. Tolkien", "J.R.R. Tolkien", "Sammy Davis Jr.", "\u{674e}\u{767d}"]
        {
            assert!(Letter::welcome(name, None).unwrap().text.contains(&format!("Hello {name},")));
        }
    }

    #[test]
    fn a_stock_alert_says_of_what_how_much_is_left() {
        let product = ProductId::new(Timestamp::from_ms(0));
        for (stock, subject, what) in [
            (0, "Stock alert: Lamp, out of stock", "The last of \u{201c}Lamp\u{201d} is gone."),
            (3, "Stock alert: Lamp, 3 left", "\u{201c}Lamp\u{201d} is down to 3."),
        ] {
            let letter = Letter::stock_alert(product, "Lamp", stock).unwrap();
            assert_eq!(letter.subject, subject);
            for form in [letter.html, letter.text] {
                assert!(form.contains(what) && form.contains(&product.to_string()), "{form}");
            }
        }
    }

    #[test]
    fn a_link_stands_in_both_forms_of_a_mail() {
        let link = "https://app.example.com/verify-email#token=a.b-c.d_e";
        for letter in [Letter::welcome("Ada", Some(link)), Letter::verify_email("Ada", link)] {
            let letter = letter.unwrap();
            assert!(letter.html.contains(&format!("href=\"{link}\"")), "{}", letter.html);
            assert!(letter.text.contains(&format!("\n{link}")), "{}", letter.text);
        }
        assert!(!Letter::welcome("Ada", None).unwrap().text.contains("24 hours"));
    }
}
