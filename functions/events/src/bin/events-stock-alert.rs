//! `events-stock-alert`: those who run the shop are told that a product is scarce or gone.
fn main() -> shared::Exit {
    shared::run(&events::stock_alert::FUNCTION)
}
