// Part of Cairn, a content-addressed blob store.

// exposition := family* "# EOF\n"
// family     := "# TYPE " name " " type "\n" ("# UNIT " name " " unit "\n")?
//               ("# HELP " name " " text "\n")? sample*
// sample     := name suffix ("{" labels "}")? " " number "\n"
// labels     := label ("," label)*          label := name "=\"" text "\""
//
// A text has its backslashes, double quotes and line feeds escaped. OpenMetrics 1.0, "Text format".

/// Metrics as text.
struct OpenMetricsText {
    /// What the text is, for the field of an answer.
    static let contentType = "application/openmetrics-text; version=1.0.0; charset=utf-8"

    private(set) var bytes: [UInt8] = []

    /// Begins a family; its samples follow.
    mutating func family(_ name: String, _ type: MetricType, help: String?) {
        append("# TYPE \(name) \(type.rawValue)\n")
        if let unit = MetricNames.unit(of: name) { append("# UNIT \(name) \(unit)\n") }
        if let help { append("# HELP \(name) \(Self.escape(help))\n") }
    }

    mutating func sample(_ key: SeriesKey, _ suffix: String, _ value: String) {
        sample(key.family, suffix, key.labels, value)
    }

    /// The samples of a histogram.
    ///
    /// - Parameters:
    ///   - bounds: ascending; the bucket without a bound comes last and is not among them.
    ///   - counts: of each bucket alone, one more than bounds.
    mutating func histogram(
        _ key: SeriesKey, _ bounds: [String], _ counts: [UInt64], sum: String
    ) {
        let separator = key.labels.isEmpty ? "" : ","
        var total: UInt64 = 0
        for (bound, count) in zip(bounds + ["+Inf"], counts) {
            total &+= count
            sample(
                key.family, "_bucket", "\(key.labels)\(separator)le=\"\(bound)\"", "\(total)")
        }
        sample(key, "_count", "\(total)")
        sample(key, "_sum", sum)
    }

    /// Ends the text.
    mutating func end() { append("# EOF\n") }

    // MARK: -

    private mutating func sample(
        _ family: String, _ suffix: String, _ labels: String, _ value: String
    ) {
        append(family)
        append(suffix)
        if !labels.isEmpty { append("{\(labels)}") }
        append(" \(value)\n")
    }

    private mutating func append(_ text: String) { bytes += text.utf8 }

    /// A number where any form is allowed; whole ones are exact.
    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        return Int64(exactly: value).map(String.init) ?? "\(value)"
    }

    /// A number in the one form for bounds of buckets, "Canonical Numbers": Swift's own, up to
    /// where Go's, which it is modelled on, has an exponent.
    static func bound(_ value: Double) -> String {
        assert(value < 1_000_000)
        return "\(value)"
    }

    static func escape(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 == 0x0A || $0 == 0x22 || $0 == 0x5C }) else {
            return text
        }
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": escaped += "\\n"
            case "\"": escaped += "\\\""
            case "\\": escaped += "\\\\"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}

/// The types of families that the exporter has.
enum MetricType: String {
    case counter, gauge, histogram

    /// What the names of samples have behind that of their family.
    var suffixes: [String] {
        switch self {
        case .counter: ["_total", "_created"]
        case .gauge: [""]
        case .histogram: ["_bucket", "_count", "_sum", "_created"]
        }
    }
}
