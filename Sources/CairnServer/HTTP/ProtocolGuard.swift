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
    /// NIO bounds the fields of a head but not its URI, which it collects in memory. A head whose
    /// fields are within their limit and which does not end within this has an endless URI.
    static let headByteCountMax = 256 * 1024

    private let counter = RawByteCounter()
    private var unansweredCount = 0

    func handlerAdded(context: ChannelHandlerContext) {
        do {
            try context.pipeline.syncOperations.addHandler(counter, position: .first)
        } catch {
            context.close(promise: nil)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            unansweredCount += 1
            counter.isInHead = false
            if head.headerFields[.expect]?.lowercased() == "100-continue" {
                let response = HTTPResponse(status: .continue)
                context.writeAndFlush(wrapOutboundOut(.head(response)), promise: nil)
            }
        case .body: break
        case .end:
            counter.isInHead = true
            counter.headByteCount = 0
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data) { unansweredCount -= 1 }
        context.write(data, promise: promise)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? HTTPParserError, error == .headerOverflow,
            unansweredCount == 0
        else {
            context.fireErrorCaught(error)
            return
        }
        let head = HTTPResponse(
            status: .requestHeaderFieldsTooLarge,
            headerFields: [.connection: "close", .contentLength: "0"])
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        context.close(promise: nil)
    }
}

@available(*, unavailable)
extension ProtocolGuard: Sendable {}

/// Counts the bytes of a head before they are parsed.
private final class RawByteCounter: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    var isInHead = true
    var headByteCount = 0

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if isInHead {
            headByteCount += unwrapInboundIn(data).readableBytes
            guard headByteCount <= ProtocolGuard.headByteCountMax else {
                refuse(context)
                return
            }
        }
        context.fireChannelRead(data)
    }

    private func refuse(_ context: ChannelHandlerContext) {
        let answer = "HTTP/1.1 414 URI Too Long\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer)), promise: nil)
        context.close(promise: nil)
    }
}

@available(*, unavailable)
extension RawByteCounter: Sendable {}
