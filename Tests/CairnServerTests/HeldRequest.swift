// Part of Cairn, a content-addressed blob store.
import CairnTestSupport
import Foundation
import NIOCore
import NIOPosix

/// A request whose body is sent in two parts, so that a test decides when it ends.
struct HeldRequest {
    private let channel: any Channel
    private let answer: Shared<[UInt8]>

    /// Sends the first part of a request to an upload session and waits until the server has given
    /// the session to it.
    static func hold(
        _ kit: ServerKit, _ location: String, byteCount: Int, first: [UInt8]
    ) async throws -> HeldRequest {
        while true {
            let held = try await begin(kit, location, byteCount: byteCount, first: first)
            if try await held.isHeld(kit, location) { return held }
            // Told to wait, it is over; the server may have closed it by now.
            try? await held.channel.close()
        }
    }

    func end(with rest: [UInt8]) async throws -> Reply {
        try await channel.writeAndFlush(ByteBuffer(bytes: rest))
        try await channel.closeFuture.get()
        return try RawConnection.parse(answer.current)
    }

    // MARK: -

    private static func begin(
        _ kit: ServerKit, _ location: String, byteCount: Int, first: [UInt8]
    ) async throws -> HeldRequest {
        let answer = Shared<[UInt8]>([])
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AnswerCollector(answer))
                }
            }
            .connect(host: "127.0.0.1", port: kit.port).get()
        let head =
            "PATCH \(location) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            + "Content-Length: \(byteCount)\r\n\r\n"
        try await channel.writeAndFlush(ByteBuffer(bytes: Array(head.utf8) + first))
        return HeldRequest(channel: channel, answer: answer)
    }

    // False: a look at the session came first, so that this request was told to wait.
    private func isHeld(_ kit: ServerKit, _ location: String) async throws -> Bool {
        // Looking at once would often come first.
        try await Task.sleep(for: .milliseconds(100))
        while answer.current.isEmpty {
            let look = try await kit.send(.PATCH, location, headers: ["Content-Range": "9-9"])
            if look.status == 409 { return true }
            try await Task.sleep(for: .milliseconds(20))
        }
        return false
    }
}

private final class AnswerCollector: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let answer: Shared<[UInt8]>

    init(_ answer: Shared<[UInt8]>) { self.answer = answer }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data).readableBytesView
        answer.update { $0 += bytes }
    }
}

/// Copies a directory and what is in it, but no sockets.
func copyTree(_ source: String, to target: String) throws {
    let manager = FileManager.default
    try manager.createDirectory(
        atPath: target, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
    for name in try manager.contentsOfDirectory(atPath: source) {
        let (from, to) = (source + "/" + name, target + "/" + name)
        let type = try manager.attributesOfItem(atPath: from)[.type] as? FileAttributeType
        switch type {
        case .typeDirectory?: try copyTree(from, to: to)
        case .typeRegular?: try manager.copyItem(atPath: from, toPath: to)
        default: break
        }
    }
}
