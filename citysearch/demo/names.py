"""Names of the fictitious city: Chinese and English together, because they are data, not text of the page."""

from __future__ import annotations

CITY_CODE = "339900"  # no city of GB/T 2260 has it
CITY = "云湖市 Cloudlake"
DISTRICTS = ("北岸区 North Shore", "湖滨区 Lakeside", "东城区 East Town", "南桥区 South Bridge")
STREETS = (
    ("望湖街道 Lakeview Street", "青杨街道 Poplar Street", "北山街道 North Hill Street"),
    ("柳岸街道 Willow Bank Street", "古塔街道 Pagoda Street", "月桥街道 Moon Bridge Street"),
    ("迎曦街道 Sunrise Street", "锦程街道 Brocade Street", "东站街道 East Station Street"),
    ("荷塘街道 Lotus Pond Street", "竹溪街道 Bamboo Brook Street", "南港街道 South Port Street"),
)
REGIONS = (
    "晴川 Clear Stream", "云栖 Cloud Rest", "松风 Pine Wind", "桂雨 Osmanthus Rain", "枫林 Maple Grove",
    "听涛 Surf", "芦花 Reed Flower", "石榴 Pomegranate", "白鹭 Egret", "书院 Academy", "钟楼 Bell Tower",
    "茶市 Tea Market", "丝坊 Silk Works", "灯市 Lantern Fair", "鱼市 Fish Market", "梅园 Plum Garden",
    "杏坛 Apricot Court", "兰亭 Orchid Pavilion", "金谷 Golden Valley", "星汇 Star Plaza", "创智 Maker Park",
    "文澜 Library", "体育场 Stadium", "会展 Exhibition", "东站 East Station", "货运 Freight Yard",
    "新塘 New Pond", "荷花 Lotus", "鹤鸣 Crane Call", "竹影 Bamboo Shade", "渡口 Ferry", "船坞 Dockyard",
    "盐仓 Salt Store", "南园 South Garden", "花圃 Nursery", "水塔 Water Tower", "砖窑 Brick Kiln",
    "果园 Orchard", "磨坊 Mill", "驿亭 Post House",
)  # fmt: skip
COMMUNITY = ("社区", "Community")
SHORE_ROAD = "湖滨步道 Lakeside Promenade"
RIM_ROAD = "环城路 Ring Road"
RING_AVENUE = "新月大道 Crescent Avenue"
CANAL_AVENUE = "运河大道 Canal Avenue"
RIVER_AVENUE = "青江大道 Green River Avenue"
AVENUES = (
    "锦绣大道 Splendour Avenue", "长宁大道 Peace Avenue", "朝阳大道 Morning Sun Avenue",
    "建设大道 Builders Avenue", "迎宾大道 Welcome Avenue", "文昌大道 Scholars Avenue",
    "湖光大道 Lakelight Avenue", "望江大道 Riverview Avenue",
)  # fmt: skip
ROADS = (
    "柳荫 Willow", "银杏 Ginkgo", "香樟 Camphor", "玉兰 Magnolia", "海棠 Crabapple", "丁香 Lilac",
    "梧桐 Plane Tree", "紫藤 Wisteria", "杜鹃 Azalea", "桃花 Peach", "石桥 Stone Bridge", "铁匠 Smith",
    "织工 Weaver", "陶工 Potter", "药铺 Apothecary", "书局 Bookshop", "明珠 Pearl", "翠微 Jade", "琥珀 Amber",
    "珊瑚 Coral", "听雨 Rain", "观星 Stargazer", "踏雪 Snow", "逐日 Sunward", "归雁 Wild Goose", "白鹤 Crane",
    "喜鹊 Magpie", "燕子 Swallow", "鲤鱼 Carp", "青蛙 Frog", "东篱 East Hedge", "南窗 South Window",
    "西厢 West Chamber", "北斗 Dipper", "麦田 Wheat", "稻香 Rice", "茶山 Tea Hill", "竹林 Bamboo", "松涛 Pine",
    "枫桥 Maple Bridge", "清泉 Spring", "古井 Old Well", "水车 Water Wheel", "渔歌 Fishersong",
    "晨钟 Dawn Bell", "暮鼓 Dusk Drum", "画舫 Pleasure Boat", "风筝 Kite", "灯笼 Lantern", "折扇 Fan",
    "砚台 Inkstone", "墨香 Ink", "棋盘 Chessboard", "琴台 Zither", "诗社 Poet", "画院 Painter",
)  # fmt: skip
ROAD_SIDES = (
    ("", ""),
    ("东", "East "),
    ("西", "West "),
    ("南", "South "),
    ("北", "North "),
    ("新", "New "),
    ("老", "Old "),
)
ROAD_WORDS = {3: ("大街", "Boulevard"), 4: ("路", "Road"), 5: ("街", "Lane"), 6: ("巷", "Alley")}
LAKE, RIVER, CANAL, ISLAND = "云湖 Cloud Lake", "青江 Green River", "新月运河 Crescent Canal", "镜心岛 Mirror Isle"
WOOD, HILL = "西山林 West Hill Wood", "北麓林 North Slope Wood"
PARKS = (
    "柳浪公园 Willow Wave Park", "梅园 Plum Garden", "星光公园 Starlight Park", "竹溪公园 Bamboo Brook Park",
    "东湾绿地 East Bend Green", "南塘公园 South Pond Park",
)  # fmt: skip
SQUARES = (
    "钟楼广场 Bell Tower Square", "东站广场 East Station Square", "月桥广场 Moon Bridge Square",
)  # fmt: skip
SIDES = (
    ("北", "N"),
    ("东北", "NE"),
    ("东", "E"),
    ("东南", "SE"),
    ("南", "S"),
    ("西南", "SW"),
    ("西", "W"),
    ("西北", "NW"),
)


def joined(name: str, word: tuple[str, str]) -> str:
    """'柳荫 Willow' and ('路', 'Road') -> '柳荫路 Willow Road'."""
    chinese, _space, english = name.partition(" ")
    return f"{chinese}{word[0]} {english} {word[1]}"


def side(bearing: float) -> tuple[str, str]:
    """The compass word of a bearing in degrees."""
    return SIDES[round(bearing / 45) % 8]
