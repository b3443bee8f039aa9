// Part of Cairn, a content-addressed blob store.
internal import HTTPTypes
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypes

/// Answers what never becomes a request, or not yet: `Expect: 100-continue`, a head that is too
/// large, a URI that does not end.
///
/// One per connection, used on its event loop only.
final class ProtocolGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    /// One field of a head, name or value.
    static let fieldByteCountMax = 16 * 1024
    /// All fields of a head, and how many they are.
    static let headerByteCountMax = 64 * 1024
    static let headerCountMax = 256

    private let watcher = TargetWatcher()
    private var unansweredCount = 0
    private var isRefused = false

    func handlerAdded(context: ChannelHandlerContext) {
        do {
            try context.pipeline.syncOperations.addHandler(watcher, position: .first)
        } catch {
            context.close(promise: nil)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            unansweredCount += 1
            // Behind others it would land in the middle of their answers.
            let isAlone = unansweredCount == 1
            if isAlone, head.headerFields[.expect]?.lowercased() == "100-continue" {
                let response = HTTPResponse(status: .continue)
                context.writeAndFlush(wrapOutboundOut(.head(response)), promise: nil)
            }
        case .body: break
        case .end: watcher.isInTarget = true
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data) { unansweredCount -= 1 }
        context.write(data, promise: promise)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // What is still coming is dropped.
        if isRefused { return }
        guard let error = error as? HTTPParserError, error == .headerOverflow,
            unansweredCount == 0
        else {
            context.fireErrorCaught(error)
            return
        }
        isRefused = true
        let head = HTTPResponse(
            status: watcher.isInTarget ? .uriTooLong : .requestHeaderFieldsTooLarge,
            headerFields: [.connection: "close", .contentLength: "0"])
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        // Closing both ways now would reset the connection, and the answer with it.
        context.close(mode: .output, promise: nil)
        let channel = context.channel
        channel.eventLoop.scheduleTask(in: ServerContext.lingerTime) { channel.close(promise: nil) }
    }
}

@available(*, unavailable)
extension ProtocolGuard: Sendable {}

/// Tells whether a head's first line is still coming: NIO bounds the target as it does a field, and
/// has one error for both.
private final class TargetWatcher: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    var isInTarget = true

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if isInTarget {
            isInTarget = !unwrapInboundIn(data).readableBytesView.contains(UInt8(ascii: "\n"))
        }
        context.fireChannelRead(data)
    }
}

@available(*, unavailable)
extension TargetWatcher: Sendable {}
