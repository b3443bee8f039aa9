// Part of Cairn, a content-addressed blob store.

/// What a progress bar shows: a label, a share, bytes, their rate and the time left.
struct ProgressLine: Sendable {
    /// What is being worked on.
    var label: String

    /// The bytes to come in all, `nil` when that is not known.
    var totalByteCount: UInt64?

    /// The bytes done so far.
    var byteCount: UInt64 = 0

    /// More to show after the figures, such as a count of blobs.
    var note: String?

    /// Makes a line at its beginning.
    init(label: String, totalByteCount: UInt64? = nil) {
        self.label = label
        self.totalByteCount = totalByteCount
    }

    /// The line after that time, cut to fit the columns.
    func text(after elapsed: Duration, columnCount: Int) -> String {
        let seconds = elapsed / .seconds(1)
        let rate = seconds > 0 ? Double(byteCount) / seconds : 0
        var parts: [String] = []
        if let total = totalByteCount, total > 0 {
            // A file that grows meanwhile must not show more than everything.
            let share = min(100, Int(Double(byteCount) / Double(total) * 100))
            parts = ["\(share) %", "\(Quantity.bytes(byteCount)) of \(Quantity.bytes(total))"]
        } else {
            parts = [Quantity.bytes(byteCount)]
        }
        parts.append("\(Quantity.bytes(UInt64(rate)))/s")
        if let total = totalByteCount, total > byteCount, rate > 0 {
            parts.append("\(Quantity.time(Double(total - byteCount) / rate)) left")
        }
        if let note { parts.append(note) }
        let figures = parts.joined(separator: "  ")
        // The figures matter more than the end of a long file name.
        let room = max(0, columnCount - 1 - figures.count - 2)
        let shown = label.count <= room ? label : String(label.suffix(room))
        return String((shown.isEmpty ? figures : shown + "  " + figures).prefix(columnCount - 1))
    }
}

/// Numbers as people read them.
enum Quantity {
    /// A number of bytes in powers of 1000, as disks and networks are sold.
    static func bytes(_ count: UInt64) -> String {
        let units = ["kB", "MB", "GB", "TB", "PB", "EB"]
        guard count >= 1000 else { return "\(count) B" }
        var value = Double(count) / 1000
        var unit = 0
        while value >= 999.95, unit < units.count - 1 {
            value /= 1000
            unit += 1
        }
        return "\(oneDecimal(value)) \(units[unit])"
    }

    /// The number itself and, where it helps, as people read it.
    static func exact(_ count: UInt64) -> String {
        count < 1000 ? "\(count)" : "\(count) (\(bytes(count)))"
    }

    /// A time in seconds as `m:ss` or `h:mm:ss`.
    static func time(_ seconds: Double) -> String {
        // 100 hours: beyond that the guess is worth nothing.
        let whole = Int(min(max(seconds, 0), 359_999).rounded(.up))
        let tail = twoDigits(whole % 60)
        guard whole >= 3600 else { return "\(whole / 60):\(tail)" }
        return "\(whole / 3600):\(twoDigits(whole / 60 % 60)):\(tail)"
    }

    /// A ratio such as `3.2`.
    static func ratio(_ numerator: UInt64, to denominator: UInt64) -> String? {
        denominator > 0 ? oneDecimal(Double(numerator) / Double(denominator)) : nil
    }

    /// A number with so many digits behind the point.
    static func factor(_ value: Double, digits: Int = 2) -> String {
        let scale = (0..<digits).reduce(1.0) { product, _ in product * 10 }
        // 2^53 of the last digit: beyond that a number has no such digits.
        let scaled = (min(max(value, 0), 9_007_199_254_740_992 / scale) * scale).rounded()
        let (whole, rest) = Int(scaled).quotientAndRemainder(dividingBy: Int(scale))
        let fraction = "\(rest)"
        return "\(whole)." + String(repeating: "0", count: digits - fraction.count) + fraction
    }

    private static func oneDecimal(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }

    private static func twoDigits(_ number: Int) -> String {
        number < 10 ? "0\(number)" : "\(number)"
    }
}
