// Part of Cairn, a content-addressed blob store.

/// An ordered map of rows that is cheap to keep old versions of.
///
/// A treap whose nodes never change: an update copies the path to its row, O(log *n*) expected, and
/// shares the rest, so a snapshot is a copy of one reference.
struct OrderedTree: Sendable {
    private final class Node: Sendable {
        let key: [UInt8]
        let value: [UInt8]
        let priority: UInt64
        let left: Node?
        let right: Node?

        init(_ key: [UInt8], _ value: [UInt8], _ left: Node?, _ right: Node?, priority: UInt64) {
            self.key = key
            self.value = value
            self.left = left
            self.right = right
            self.priority = priority
        }

        func with(left: Node?, right: Node?) -> Node {
            Node(key, value, left, right, priority: priority)
        }
    }
    private var root: Node?
    /// Rows in the tree.
    private(set) var count = 0

    /// The value of a key.
    subscript(key: [UInt8]) -> [UInt8]? {
        var node = root
        while let here = node {
            if here.key == key { return here.value }
            node = key.lexicographicallyPrecedes(here.key) ? here.left : here.right
        }
        return nil
    }

    /// Sets or, with nil, removes a row.
    mutating func set(_ key: [UInt8], _ value: [UInt8]?) {
        let existed = self[key] != nil
        let (less, more) = Self.split(root, key)
        let node = value.map { Node(key, $0, nil, nil, priority: Self.priority(of: key)) }
        root = Self.join(Self.join(less, node), more)
        count += (value == nil ? 0 : 1) - (existed ? 1 : 0)
    }

    /// Visits rows in ascending order until the body returns false.
    func visit(from: [UInt8], before: [UInt8]?, _ body: ([UInt8], [UInt8]) -> Bool) {
        _ = Self.visit(root, from, before, body)
    }

    // MARK: -

    // Derived from the key, so that equal contents make equal trees in every run (FNV-1a).
    private static func priority(of key: [UInt8]) -> UInt64 {
        key.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
    }

    /// The nodes below and above a key, which itself is dropped.
    private static func split(_ node: Node?, _ key: [UInt8]) -> (Node?, Node?) {
        guard let node else { return (nil, nil) }
        if node.key == key { return (node.left, node.right) }
        if node.key.lexicographicallyPrecedes(key) {
            let (less, more) = split(node.right, key)
            return (node.with(left: node.left, right: less), more)
        }
        let (less, more) = split(node.left, key)
        return (less, node.with(left: more, right: node.right))
    }

    private static func join(_ less: Node?, _ more: Node?) -> Node? {
        guard let less else { return more }
        guard let more else { return less }
        return less.priority > more.priority
            ? less.with(left: less.left, right: join(less.right, more))
            : more.with(left: join(less, more.left), right: more.right)
    }

    private static func visit(
        _ node: Node?, _ from: [UInt8], _ before: [UInt8]?, _ body: ([UInt8], [UInt8]) -> Bool
    ) -> Bool {
        guard let node else { return true }
        let isInside = !node.key.lexicographicallyPrecedes(from)
        let isBefore = before.map { node.key.lexicographicallyPrecedes($0) } ?? true
        if isInside, !visit(node.left, from, before, body) { return false }
        guard isBefore else { return false }
        if isInside, !body(node.key, node.value) { return false }
        return visit(node.right, from, before, body)
    }
}
