//! What the keys do: press, then look at the Actions and the screen.

use super::fixture::{busy, press, screen};

#[test]
fn look() {
    let mut model = busy(120, 36);
    println!("{}", screen(&model));
    let mut model2 = busy(80, 24);
    println!("{}", screen(&model2));
    press(&mut model2, "<Enter>");
    println!("{}", screen(&model2));
    press(&mut model2, "<Esc>n");
    println!("{}", screen(&model2));
    press(&mut model2, "<Esc>*S");
    println!("{}", screen(&model2));
    press(&mut model2, "y");
    println!("{}", screen(&model2));
    press(&mut model, "?");
    println!("{}", screen(&model));
    println!("{}", screen(&busy(40, 12)));
    println!("{}", screen(&busy(60, 15)));
    println!("{}", screen(&busy(19, 3)));
}
