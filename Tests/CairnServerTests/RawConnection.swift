// Part of Cairn, a content-addressed blob store.
import NIOCore
import NIOHTTP1
import NIOPosix

/// A connection that sends what no proper client would.
enum RawConnection {
    /// Sends bytes and reads until the server closes the connection.
    ///
    /// - Parameter endsOutput: whether the client ends its side after the bytes.
    static func exchange(
        port: Int, _ pieces: [[UInt8]], endsOutput: Bool = false
    ) async throws -> Reply {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(ChannelOptions.allowRemoteHalfClosure, value: true)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                        wrappingChannelSynchronously: channel,
                        configuration: .init(isOutboundHalfClosureEnabled: true))
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            // The server may close before it has read everything.
            do {
                for piece in pieces { try await outbound.write(ByteBuffer(bytes: piece)) }
                if endsOutput { outbound.finish() }
            } catch {}
            var bytes: [UInt8] = []
            do {
                for try await buffer in inbound { bytes += buffer.readableBytesView }
            } catch  where !bytes.isEmpty {}
            return try parse(bytes)
        }
    }

    /// Sends a request without a body, ending the connection.
    static func request(
        port: Int, _ method: String, _ target: String, headers: [String] = []
    ) async throws -> Reply {
        let lines =
            ["\(method) \(target) HTTP/1.1", "Host: localhost", "Connection: close"] + headers
        return try await exchange(
            port: port, [Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)])
    }

    /// The last answer of a connection; one with status 100 comes before it.
    static func parse(_ bytes: [UInt8]) throws -> Reply {
        let text = String(decoding: bytes, as: UTF8.self)
        guard let end = text.firstRange(of: "\r\n\r\n") else { throw Missing(what: "head") }
        let lines = text[..<end.lowerBound].components(separatedBy: "\r\n")
        let parts = lines[0].split(separator: " ")
        guard parts.count > 1, let status = Int(parts[1]) else { throw Missing(what: "status") }
        let rest = Array(text[end.upperBound...].utf8)
        if status == 100 { return try parse(rest) }
        var headers = HTTPHeaders()
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            headers.add(
                name: String(line[..<colon]),
                value: line[line.index(after: colon)...].trimmingPrefix(" ").description)
        }
        return Reply(status: status, headers: headers, body: rest)
    }
}

extension StringProtocol {
    fileprivate func components(separatedBy separator: String) -> [String] {
        split(separator: separator, omittingEmptySubsequences: false).map { String($0) }
    }
}
