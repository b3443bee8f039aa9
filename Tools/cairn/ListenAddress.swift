// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser

/// Where a server listens: `HOST:PORT`, an IPv6 host in brackets.
struct ListenAddress: ExpressibleByArgument, CustomStringConvertible {
    /// A name or an address, without brackets.
    let host: String

    /// The TCP port; 0 takes any free one.
    let port: Int

    /// Makes an address from its parts.
    init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// Reads an address from the command line.
    init?(argument: String) {
        guard let colon = argument.lastIndex(of: ":"),
            let port = UInt16(argument[argument.index(after: colon)...])
        else { return nil }
        var host = argument[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            // Where the port begins would be a guess.
            return nil
        }
        guard !host.isEmpty else { return nil }
        self.init(host: String(host), port: Int(port))
    }

    var description: String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// What the help text shows as the default.
    var defaultValueDescription: String { description }
}
