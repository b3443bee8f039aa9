// Part of Cairn, a content-addressed blob store.
import NIOCore
import NIOPosix

/// A client that asks for the next bytes only after it has let others run many times, so that the
/// server's buffers fill.
enum SlowReader {
    static func get(port: Int, _ target: String) async throws -> Reply {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(
                ChannelOptions.recvAllocator,
                value: FixedSizeRecvByteBufferAllocator(capacity: 4096)
            )
            .channelOption(ChannelOptions.socketOption(.so_rcvbuf), value: 4096)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                        wrappingChannelSynchronously: channel,
                        configuration: .init(
                            backPressureStrategy: .init(lowWatermark: 1, highWatermark: 1)))
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            let head = "GET \(target) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            try await outbound.write(ByteBuffer(string: head))
            var bytes: [UInt8] = []
            for try await buffer in inbound {
                bytes += buffer.readableBytesView
                await Task.yield()
            }
            return try split(bytes)
        }
    }

    /// The body is bytes, not text.
    private static func split(_ bytes: [UInt8]) throws -> Reply {
        guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else {
            throw Missing(what: "head")
        }
        let head = try RawConnection.parse(Array(bytes[..<end.upperBound]))
        return Reply(
            status: head.status, headers: head.headers, body: Array(bytes[end.upperBound...]))
    }
}
