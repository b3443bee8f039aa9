// Part of Cairn, a content-addressed blob store.
import CairnTestSupport
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

    /// Sends a request, reads nothing, and counts what is left to read when the server has ended
    /// the connection.
    static func countUntilClosed(port: Int, _ target: String) async throws -> Int {
        let count = Shared(0)
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(ChannelOptions.autoRead, value: false)
            .channelOption(ChannelOptions.socketOption(.so_rcvbuf), value: 4096)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ByteCounter(count))
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        let head = "GET \(target) HTTP/1.1\r\nHost: localhost\r\n\r\n"
        try await channel.writeAndFlush(ByteBuffer(string: head))
        // Longer than the server waits, so that it is the one to end the connection.
        try await Task.sleep(for: .seconds(2))
        try await channel.setOption(ChannelOptions.autoRead, value: true).get()
        channel.read()
        try? await channel.closeFuture.get()
        return count.current
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

private final class ByteCounter: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let count: Shared<Int>

    init(_ count: Shared<Int>) { self.count = count }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let byteCount = unwrapInboundIn(data).readableBytes
        count.update { $0 += byteCount }
    }
}
