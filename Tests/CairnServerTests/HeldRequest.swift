// Part of Cairn, a content-addressed blob store.
import Foundation
import NIOCore
import NIOPosix

/// A request whose body is sent in two parts, so that a test decides when it ends.
struct HeldRequest {
    private let channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>

    static func begin(
        port: Int, _ line: String, byteCount: Int, first: [UInt8]
    ) async throws -> HeldRequest {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                        wrappingChannelSynchronously: channel)
                }
            }
        let head =
            "\(line)\r\nHost: localhost\r\nConnection: close\r\n"
            + "Content-Length: \(byteCount)\r\n\r\n"
        try await channel.channel.writeAndFlush(ByteBuffer(bytes: Array(head.utf8) + first))
        return HeldRequest(channel: channel)
    }

    /// Waits until the server has given the session to this request.
    func untilHeld(_ kit: ServerKit, _ location: String) async throws {
        while try await kit.send(.PATCH, location, headers: ["Content-Range": "9-9"]).status != 409
        {
            await Task.yield()
        }
    }

    func end(with rest: [UInt8]) async throws -> Reply {
        try await channel.executeThenClose { inbound, outbound in
            try await outbound.write(ByteBuffer(bytes: rest))
            var bytes: [UInt8] = []
            for try await buffer in inbound { bytes += buffer.readableBytesView }
            return try RawConnection.parse(bytes)
        }
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
