// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser

/// A number of bytes on the command line: `1500`, `10kB`, `2GiB`.
struct ByteQuantity: ExpressibleByArgument {
    let byteCount: UInt64

    static let help = "a number, with a unit such as kB, MB, GiB or without"

    /// Nil for what is no such number, negative or beyond 2^63 - 1.
    init?(argument: String) {
        let digits = argument.prefix { $0.isASCII && $0.isNumber }
        guard let number = UInt64(digits), let unit = Self.unit(argument.dropFirst(digits.count))
        else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: unit)
        guard !overflow, product <= UInt64(Int64.max) else { return nil }
        byteCount = product
    }

    private static func unit(_ text: Substring) -> UInt64? {
        if text.isEmpty || text == "B" { return 1 }
        for (index, letter) in "KMGTPE".enumerated() {
            for (name, base) in [
                ("\(letter)B", UInt64(1000)), ("\(letter)iB", 1024), ("\(letter)", 1024),
            ] where text.uppercased() == name.uppercased() {
                return (0...index).reduce(UInt64(1)) { product, _ in product * base }
            }
        }
        return nil
    }
}

/// A limit on the command line: a number, or `none`.
enum LimitArgument<Number: ExpressibleByArgument>: ExpressibleByArgument {
    case none
    case some(Number)

    init?(argument: String) {
        if argument == "none" {
            self = .none
        } else if let number = Number(argument: argument) {
            self = .some(number)
        } else {
            return nil
        }
    }
}
