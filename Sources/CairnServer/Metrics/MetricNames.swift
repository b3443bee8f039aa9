// Part of Cairn, a content-addressed blob store.

/// Names as OpenMetrics has them, made of whatever a library calls its metrics.
enum MetricNames {
    private static let units = ["seconds", "bytes"]

    /// The name of a family: of letters, digits, `_` and `:`.
    static func family(_ label: String, _ type: MetricType, isTimer: Bool = false) -> String {
        var name = sanitized(label, allowingColons: true)
        if type == .counter, name.hasSuffix("_total") { name.removeLast("_total".count) }
        // The unit of what a timer measures must be in its name to be told.
        if isTimer, unit(of: name) != "seconds" { name += "_seconds" }
        return name
    }

    /// The unit that a name ends with; nil when it ends with none.
    static func unit(of family: String) -> String? {
        units.first { family.hasSuffix("_\($0)") }
    }

    /// Labels as they stand between the braces, in the order of their names; nil when they are not
    /// to be had: two of one name, or one that a histogram needs itself.
    static func labels(_ dimensions: [(String, String)], _ type: MetricType) -> String? {
        let labels = dimensions.map { (sanitized($0.0, allowingColons: false), $0.1) }
            .sorted { $0.0 < $1.0 }
        let names = labels.map(\.0)
        guard Set(names).count == names.count, type != .histogram || !names.contains("le") else {
            return nil
        }
        return labels.map { "\($0.0)=\"\(OpenMetricsText.escape($0.1))\"" }.joined(separator: ",")
    }

    private static func sanitized(_ text: String, allowingColons: Bool) -> String {
        var name = ""
        for scalar in text.unicodeScalars {
            let isAllowed =
                scalar.isASCII && (scalar.properties.isAlphabetic || ("0"..."9") ~= scalar)
                || scalar == "_" || (scalar == ":" && allowingColons)
            name.unicodeScalars.append(isAllowed ? scalar : "_")
        }
        // Those that begin with an underscore are reserved, and none begins with a digit.
        let isProper = name.unicodeScalars.first.map { $0.properties.isAlphabetic } ?? false
        return isProper ? name : "x" + name
    }
}
