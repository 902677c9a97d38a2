//! The page and the API: asked of their routers, and looked at in a real browser.

mod browser;
mod command_line;
mod lab;
mod machine;
mod router;
mod seed_cd;
mod webdriver;
