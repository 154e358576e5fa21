"""The commands of Redis 7.0.15 as its `COMMAND` tells them: categories, and what a command touches. Data, no code.

`KEYS_READ`, `KEYS_WRITTEN`, `CHANNELS`: commands that read or write a key or use a channel, so far as that is checked
(those that only name a key are in both). `KEYLESS`: commands that may touch none of these. `CONTAINERS`: words whose
second word is a command of its own.
"""

VERSION = "7.0.15"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


KEYS_READ = _words(
    """
    bitcount bitfield bitfield_ro bitop bitpos blmove blmpop blpop brpop brpoplpush bzmpop bzpopmax bzpopmin copy decr
    decrby dump eval eval_ro evalsha evalsha_ro exists expiretime fcall fcall_ro geodist geohash geopos georadius
    georadius_ro georadiusbymember georadiusbymember_ro geosearch geosearchstore get getbit getdel getex getrange
    getset hexists hget hgetall hincrby hincrbyfloat hkeys hlen hmget hrandfield hscan hstrlen hvals incr incrby
    incrbyfloat lcs lindex llen lmove lmpop lpop lpos lrange memory|usage mget migrate move object|encoding
    object|freq object|idletime object|refcount pexpiretime pfcount pfdebug pfmerge pttl rename renamenx rpop
    rpoplpush scard sdiff sdiffstore set setbit sinter sintercard sinterstore sismember smembers smismember smove sort
    sort_ro spop spublish srandmember sscan ssubscribe strlen substr sunion sunionstore sunsubscribe touch ttl type
    watch xinfo|consumers xinfo|groups xinfo|stream xlen xpending xrange xread xreadgroup xrevrange zcard zcount zdiff
    zdiffstore zincrby zinter zintercard zinterstore zlexcount zmpop zmscore zpopmax zpopmin zrandmember zrange
    zrangebylex zrangebyscore zrangestore zrank zrevrange zrevrangebylex zrevrangebyscore zrevrank zscan zscore zunion
    zunionstore
    """
)

KEYS_WRITTEN = _words(
    """
    append bitfield bitop blmove blmpop blpop brpop brpoplpush bzmpop bzpopmax bzpopmin copy decr decrby del eval
    evalsha exists expire expireat fcall geoadd georadius georadiusbymember geosearchstore getdel getex getset hdel
    hexists hincrby hincrbyfloat hlen hmset hset hsetnx hstrlen incr incrby incrbyfloat linsert llen lmove lmpop lpop
    lpush lpushx lrem lset ltrim memory|usage migrate move mset msetnx object|encoding object|freq object|idletime
    object|refcount persist pexpire pexpireat pfadd pfmerge psetex rename renamenx restore restore-asking rpop
    rpoplpush rpush rpushx sadd scard sdiffstore set setbit setex setnx setrange sinterstore sismember smove sort spop
    spublish srem ssubscribe strlen sunionstore sunsubscribe touch type unlink watch xack xadd xautoclaim xclaim xdel
    xgroup|create xgroup|createconsumer xgroup|delconsumer xgroup|destroy xgroup|setid xlen xsetid xtrim zadd zcard
    zdiffstore zincrby zinterstore zmpop zpopmax zpopmin zrangestore zrem zremrangebylex zremrangebyrank
    zremrangebyscore zunionstore
    """
)

CHANNELS = _words(
    """
    psubscribe publish spublish ssubscribe subscribe
    """
)

KEYLESS = _words(
    """
    acl|cat acl|deluser acl|dryrun acl|genpass acl|getuser acl|help acl|list acl|load acl|log acl|save acl|setuser
    acl|users acl|whoami asking auth bgrewriteaof bgsave client|caching client|getname client|getredir client|help
    client|id client|info client|kill client|list client|no-evict client|pause client|reply client|setname
    client|tracking client|trackinginfo client|unblock client|unpause cluster|addslots cluster|addslotsrange
    cluster|bumpepoch cluster|count-failure-reports cluster|countkeysinslot cluster|delslots cluster|delslotsrange
    cluster|failover cluster|flushslots cluster|forget cluster|getkeysinslot cluster|help cluster|info cluster|keyslot
    cluster|links cluster|meet cluster|myid cluster|nodes cluster|replicas cluster|replicate cluster|reset
    cluster|saveconfig cluster|set-config-epoch cluster|setslot cluster|shards cluster|slaves cluster|slots
    command|count command|docs command|getkeys command|getkeysandflags command|help command|info command|list
    config|get config|help config|resetstat config|rewrite config|set dbsize debug discard echo eval eval_ro evalsha
    evalsha_ro exec failover fcall fcall_ro flushall flushdb function|delete function|dump function|flush
    function|help function|kill function|list function|load function|restore function|stats hello info keys lastsave
    latency|doctor latency|graph latency|help latency|histogram latency|history latency|latest latency|reset lolwut
    memory|doctor memory|help memory|malloc-stats memory|purge memory|stats module|help module|list module|load
    module|loadex module|unload monitor multi object|help pfselftest ping psync pubsub|channels pubsub|help
    pubsub|numpat pubsub|numsub pubsub|shardchannels pubsub|shardnumsub punsubscribe quit randomkey readonly readwrite
    replconf replicaof reset role save scan script|debug script|exists script|flush script|help script|kill
    script|load select shutdown slaveof slowlog|get slowlog|help slowlog|len slowlog|reset swapdb sync time
    unsubscribe unwatch wait xgroup|help xinfo|help
    """
)

CONTAINERS = _words(
    """
    acl client cluster command config function latency memory module object pubsub script slowlog xgroup xinfo
    """
)

CATEGORIES = {
    "admin": _words(
        """
        acl|deluser acl|dryrun acl|getuser acl|list acl|load acl|log acl|save acl|setuser acl|users bgrewriteaof
        bgsave client|kill client|list client|no-evict client|pause client|unblock client|unpause cluster|addslots
        cluster|addslotsrange cluster|bumpepoch cluster|count-failure-reports cluster|delslots cluster|delslotsrange
        cluster|failover cluster|flushslots cluster|forget cluster|meet cluster|replicas cluster|replicate
        cluster|reset cluster|saveconfig cluster|set-config-epoch cluster|setslot cluster|slaves config|get
        config|resetstat config|rewrite config|set debug failover lastsave latency|doctor latency|graph
        latency|histogram latency|history latency|latest latency|reset module|list module|load module|loadex
        module|unload monitor pfdebug pfselftest psync replconf replicaof role save shutdown slaveof slowlog|get
        slowlog|len slowlog|reset sync
        """
    ),
    "bitmap": _words(
        """
        bitcount bitfield bitfield_ro bitop bitpos getbit setbit
        """
    ),
    "blocking": _words(
        """
        blmove blmpop blpop brpop brpoplpush bzmpop bzpopmax bzpopmin xread xreadgroup
        """
    ),
    "connection": _words(
        """
        asking auth client|caching client|getname client|getredir client|help client|id client|info client|kill
        client|list client|no-evict client|pause client|reply client|setname client|tracking client|trackinginfo
        client|unblock client|unpause command command|count command|docs command|getkeys command|getkeysandflags
        command|help command|info command|list echo hello ping quit readonly readwrite reset select wait
        """
    ),
    "dangerous": _words(
        """
        acl|deluser acl|dryrun acl|getuser acl|list acl|load acl|log acl|save acl|setuser acl|users bgrewriteaof
        bgsave client|kill client|list client|no-evict client|pause client|unblock client|unpause cluster|addslots
        cluster|addslotsrange cluster|bumpepoch cluster|count-failure-reports cluster|delslots cluster|delslotsrange
        cluster|failover cluster|flushslots cluster|forget cluster|meet cluster|replicas cluster|replicate
        cluster|reset cluster|saveconfig cluster|set-config-epoch cluster|setslot cluster|slaves config|get
        config|resetstat config|rewrite config|set debug failover flushall flushdb info keys lastsave latency|doctor
        latency|graph latency|histogram latency|history latency|latest latency|reset migrate module|list module|load
        module|loadex module|unload monitor pfdebug pfselftest psync replconf replicaof restore restore-asking role
        save shutdown slaveof slowlog|get slowlog|len slowlog|reset sort sort_ro swapdb sync
        """
    ),
    "fast": _words(
        """
        append asking auth bitfield_ro bzpopmax bzpopmin dbsize decr decrby discard echo exists expire expireat
        expiretime get getbit getdel getex getset hdel hello hexists hget hincrby hincrbyfloat hlen hmget hmset hset
        hsetnx hstrlen incr incrby incrbyfloat lastsave llen lolwut lpop lpush lpushx mget move multi persist
        pexpire pexpireat pexpiretime pfadd ping pttl publish quit readonly readwrite renamenx reset role rpop rpush
        rpushx sadd scard select setnx sismember smismember smove spop spublish srem strlen swapdb time touch ttl
        type unlink unwatch watch xack xadd xautoclaim xclaim xdel xlen xsetid zadd zcard zcount zincrby zlexcount
        zmscore zpopmax zpopmin zrank zrem zrevrank zscore
        """
    ),
    "geo": _words(
        """
        geoadd geodist geohash geopos georadius georadius_ro georadiusbymember georadiusbymember_ro geosearch
        geosearchstore
        """
    ),
    "hash": _words(
        """
        hdel hexists hget hgetall hincrby hincrbyfloat hkeys hlen hmget hmset hrandfield hscan hset hsetnx hstrlen
        hvals
        """
    ),
    "hyperloglog": _words(
        """
        pfadd pfcount pfdebug pfmerge pfselftest
        """
    ),
    "keyspace": _words(
        """
        copy dbsize del dump exists expire expireat expiretime flushall flushdb keys migrate move object|encoding
        object|freq object|help object|idletime object|refcount persist pexpire pexpireat pexpiretime pttl randomkey
        rename renamenx restore restore-asking scan swapdb touch ttl type unlink
        """
    ),
    "list": _words(
        """
        blmove blmpop blpop brpop brpoplpush lindex linsert llen lmove lmpop lpop lpos lpush lpushx lrange lrem lset
        ltrim rpop rpoplpush rpush rpushx sort sort_ro
        """
    ),
    "pubsub": _words(
        """
        psubscribe publish pubsub|channels pubsub|numpat pubsub|numsub pubsub|shardchannels pubsub|shardnumsub
        punsubscribe spublish ssubscribe subscribe sunsubscribe unsubscribe
        """
    ),
    "read": _words(
        """
        bitcount bitfield_ro bitpos dbsize dump exists expiretime geodist geohash geopos georadius_ro
        georadiusbymember_ro geosearch get getbit getrange hexists hget hgetall hkeys hlen hmget hrandfield hscan
        hstrlen hvals keys lcs lindex llen lolwut lpos lrange memory|usage mget object|encoding object|freq
        object|idletime object|refcount pexpiretime pfcount pttl randomkey scan scard sdiff sinter sintercard
        sismember smembers smismember sort_ro srandmember sscan strlen substr sunion touch ttl type xinfo|consumers
        xinfo|groups xinfo|stream xlen xpending xrange xread xrevrange zcard zcount zdiff zinter zintercard
        zlexcount zmscore zrandmember zrange zrangebylex zrangebyscore zrank zrevrange zrevrangebylex
        zrevrangebyscore zrevrank zscan zscore zunion
        """
    ),
    "scripting": _words(
        """
        eval eval_ro evalsha evalsha_ro fcall fcall_ro function|delete function|dump function|flush function|help
        function|kill function|list function|load function|restore function|stats script|debug script|exists
        script|flush script|help script|kill script|load
        """
    ),
    "set": _words(
        """
        sadd scard sdiff sdiffstore sinter sintercard sinterstore sismember smembers smismember smove sort sort_ro
        spop srandmember srem sscan sunion sunionstore
        """
    ),
    "slow": _words(
        """
        acl acl|cat acl|deluser acl|dryrun acl|genpass acl|getuser acl|help acl|list acl|load acl|log acl|save
        acl|setuser acl|users acl|whoami bgrewriteaof bgsave bitcount bitfield bitop bitpos blmove blmpop blpop
        brpop brpoplpush bzmpop client client|caching client|getname client|getredir client|help client|id
        client|info client|kill client|list client|no-evict client|pause client|reply client|setname client|tracking
        client|trackinginfo client|unblock client|unpause cluster cluster|addslots cluster|addslotsrange
        cluster|bumpepoch cluster|count-failure-reports cluster|countkeysinslot cluster|delslots
        cluster|delslotsrange cluster|failover cluster|flushslots cluster|forget cluster|getkeysinslot cluster|help
        cluster|info cluster|keyslot cluster|links cluster|meet cluster|myid cluster|nodes cluster|replicas
        cluster|replicate cluster|reset cluster|saveconfig cluster|set-config-epoch cluster|setslot cluster|shards
        cluster|slaves cluster|slots command command|count command|docs command|getkeys command|getkeysandflags
        command|help command|info command|list config config|get config|help config|resetstat config|rewrite
        config|set copy debug del dump eval eval_ro evalsha evalsha_ro exec failover fcall fcall_ro flushall flushdb
        function function|delete function|dump function|flush function|help function|kill function|list
        function|load function|restore function|stats geoadd geodist geohash geopos georadius georadius_ro
        georadiusbymember georadiusbymember_ro geosearch geosearchstore getrange hgetall hkeys hrandfield hscan
        hvals info keys latency latency|doctor latency|graph latency|help latency|histogram latency|history
        latency|latest latency|reset lcs lindex linsert lmove lmpop lpos lrange lrem lset ltrim memory memory|doctor
        memory|help memory|malloc-stats memory|purge memory|stats memory|usage migrate module module|help
        module|list module|load module|loadex module|unload monitor mset msetnx object object|encoding object|freq
        object|help object|idletime object|refcount pfcount pfdebug pfmerge pfselftest psetex psubscribe psync
        pubsub pubsub|channels pubsub|help pubsub|numpat pubsub|numsub pubsub|shardchannels pubsub|shardnumsub
        punsubscribe randomkey rename replconf replicaof restore restore-asking rpoplpush save scan script
        script|debug script|exists script|flush script|help script|kill script|load sdiff sdiffstore set setbit
        setex setrange shutdown sinter sintercard sinterstore slaveof slowlog slowlog|get slowlog|help slowlog|len
        slowlog|reset smembers sort sort_ro srandmember sscan ssubscribe subscribe substr sunion sunionstore
        sunsubscribe sync unsubscribe wait xgroup xgroup|create xgroup|createconsumer xgroup|delconsumer
        xgroup|destroy xgroup|help xgroup|setid xinfo xinfo|consumers xinfo|groups xinfo|help xinfo|stream xpending
        xrange xread xreadgroup xrevrange xtrim zdiff zdiffstore zinter zintercard zinterstore zmpop zrandmember
        zrange zrangebylex zrangebyscore zrangestore zremrangebylex zremrangebyrank zremrangebyscore zrevrange
        zrevrangebylex zrevrangebyscore zscan zunion zunionstore
        """
    ),
    "sortedset": _words(
        """
        bzmpop bzpopmax bzpopmin sort sort_ro zadd zcard zcount zdiff zdiffstore zincrby zinter zintercard
        zinterstore zlexcount zmpop zmscore zpopmax zpopmin zrandmember zrange zrangebylex zrangebyscore zrangestore
        zrank zrem zremrangebylex zremrangebyrank zremrangebyscore zrevrange zrevrangebylex zrevrangebyscore
        zrevrank zscan zscore zunion zunionstore
        """
    ),
    "stream": _words(
        """
        xack xadd xautoclaim xclaim xdel xgroup|create xgroup|createconsumer xgroup|delconsumer xgroup|destroy
        xgroup|help xgroup|setid xinfo|consumers xinfo|groups xinfo|help xinfo|stream xlen xpending xrange xread
        xreadgroup xrevrange xsetid xtrim
        """
    ),
    "string": _words(
        """
        append decr decrby get getdel getex getrange getset incr incrby incrbyfloat lcs mget mset msetnx psetex set
        setex setnx setrange strlen substr
        """
    ),
    "transaction": _words(
        """
        discard exec multi unwatch watch
        """
    ),
    "write": _words(
        """
        append bitfield bitop blmove blmpop blpop brpop brpoplpush bzmpop bzpopmax bzpopmin copy decr decrby del
        expire expireat flushall flushdb function|delete function|flush function|load function|restore geoadd
        georadius georadiusbymember geosearchstore getdel getex getset hdel hincrby hincrbyfloat hmset hset hsetnx
        incr incrby incrbyfloat linsert lmove lmpop lpop lpush lpushx lrem lset ltrim migrate move mset msetnx
        persist pexpire pexpireat pfadd pfdebug pfmerge psetex rename renamenx restore restore-asking rpop rpoplpush
        rpush rpushx sadd sdiffstore set setbit setex setnx setrange sinterstore smove sort spop srem sunionstore
        swapdb unlink xack xadd xautoclaim xclaim xdel xgroup|create xgroup|createconsumer xgroup|delconsumer
        xgroup|destroy xgroup|setid xreadgroup xsetid xtrim zadd zdiffstore zincrby zinterstore zmpop zpopmax
        zpopmin zrangestore zrem zremrangebylex zremrangebyrank zremrangebyscore zunionstore
        """
    ),
}
