"""What judgement, not metadata, decides about the glyph concepts; every tile was looked at."""

# Left out: a name that is not an everyday word for the picture, or a second drawing of a concept
# already there (concepts that only a magnifying glass tells apart would blur every statistic).
EXCLUDED = frozenset(
    """
    grinning smiley smile laughing innocent relaxed unamused relieved pensive sleepy confused
    worried hushed frowning anguished sob persevere sweat weary rage heartbeat dash hole anger
    dancers fencer racehorse leopard ox boar rat feet wing sauropod bug cricket cockroach microbe
    rosette hibiscus blossom hyacinth herb dove goose
    tangerine flatbread tamale stew cooking fondue oden dango beers sake mate hocho custard ice
    japan camping houses foggy sunset wedding kaaba metro station minibus speedboat ferry stars
    lightning fog motorway seat
    bamboo dolls flags tada softball lacrosse mahjong pinata
    pouch handbag briefs mute sound mega minidisc calling fax trackball pager ledger notebook yen
    euro pound postbox date unlock alembic elevator hamsa moyai placard crutch hook clamp sparkler
    restroom wc customs underage back end on soon top khanda aries taurus gemini cancer leo virgo
    libra scorpius capricorn aquarius pisces ophiuchus repeat rewind eject cinema wireless bangbang
    sparkle copyright tm zero one two three four five six seven eight nine abcd symbols abc cl cool
    free id new ng ok up vs koko sa accept secret om loop beginner barber office mag hearts cd
    hankey
    """.split()
)

# The picture itself contains letters or digits, so "answers to the picture and to the word" may
# only mean "reads": kept for training, and out of every claim about multimodality.
WRITING = frozenset(
    """
    zzz sleeping hospital hotel bank taxi busstop newspaper memo scroll receipt book calendar dvd
    vhs atm parking sos dollar moneybag chart joker keyboard ticket headstone clipboard
    """.split()
)
