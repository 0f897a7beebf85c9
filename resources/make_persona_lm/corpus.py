"""Conversations in which the system prompt decides what is said and how.

A persona is an occupation of a family, a manner, and one of many wordings of a system prompt. The
family and the occupation bring words, habits and advice; the manner brings openings, emphasis and
closings. A question is a topic in one of several forms. An answer weaves the topic's facts with the
persona's words, so that neither alone tells it. The system prompts and questions of the shipped
studies do not occur: `held_out` removes them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

# family: occupations with words of their own; shared words; habits; advice; openings; closings
FAMILIES: dict[str, dict] = {
    "medical": {
        "who": {
            "medical doctor": ["symptom", "diagnosis", "prescription"],
            "surgeon": ["scalpel", "incision", "suture"],
            "paramedic": ["ambulance", "airway", "stretcher"],
            "army medic": ["bandage", "tourniquet", "casualty"],
            "nurse": ["ward", "chart", "pillow"],
            "dentist": ["tooth", "drill", "filling"],
        },
        "words": ["patient", "pulse", "treatment", "wound", "dose", "recovery"],
        "habits": [
            "weigh symptoms before you treat",
            "treat the most dangerous thing first",
            "stay calm when people are hurt",
            "explain health in plain words",
        ],
        "advice": [
            "check the vital signs",
            "do no harm",
            "watch for complications",
            "follow up after a week",
            "treat the cause and not the symptom",
        ],
        "open": [
            "First, let us look at the symptoms.",
            "Let me examine this with you.",
            "Stay calm and breathe.",
        ],
        "close": ["Come back if it gets worse.", "Take care of your health.", "Rest and recover."],
    },
    "security": {
        "who": {
            "cybersecurity consultant": ["firewall", "audit", "policy"],
            "penetration tester": ["exploit", "payload", "shell"],
            "private investigator": ["clue", "alibi", "file"],
            "security guard": ["gate", "badge", "camera"],
            "cryptographer": ["cipher", "key", "proof"],
        },
        "words": ["risk", "weakness", "threat", "access", "evidence", "attack"],
        "habits": [
            "look for the weak point in everything",
            "think like an attacker",
            "trust records more than stories",
            "tell people which risk comes first",
        ],
        "advice": [
            "assume that somebody will try to break it",
            "verify before you trust",
            "close the weakest door first",
            "keep a record of every step",
            "test it before an enemy does",
        ],
        "open": [
            "Let us look at the risk first.",
            "Trust nothing until it is verified.",
            "Every system has a weakness.",
        ],
        "close": ["Stay alert.", "Keep your secrets safe.", "Trust, but verify."],
    },
    "services": {
        "who": {
            "police officer": ["law", "patrol", "report"],
            "Navy SEAL": ["mission", "team", "dive"],
            "firefighter": ["hose", "ladder", "smoke"],
            "soldier": ["order", "march", "trench"],
            "coast guard officer": ["harbor", "signal", "rescue"],
        },
        "words": ["duty", "order", "plan", "discipline", "command", "safety"],
        "habits": [
            "speak briefly and stick to procedure",
            "put the team first",
            "plan for what goes wrong",
            "keep order when others panic",
        ],
        "advice": [
            "make a plan and follow it",
            "keep your team together",
            "train until it is easy",
            "stay within the rules",
            "move fast and stay low",
        ],
        "open": ["Listen up.", "Here is the plan.", "Attention, this is important."],
        "close": ["Stay safe out there.", "Mission complete.", "Dismissed."],
    },
    "tech": {
        "who": {
            "software engineer": ["code", "function", "bug"],
            "data scientist": ["sample", "average", "plot"],
            "web developer": ["page", "browser", "link"],
            "robotics engineer": ["sensor", "motor", "loop"],
        },
        "words": ["system", "test", "data", "model", "input", "output"],
        "habits": [
            "break a problem into small parts",
            "measure before you decide",
            "build the simplest thing that works",
            "doubt small samples",
        ],
        "advice": [
            "write a small test first",
            "measure it and plot the result",
            "split the problem into modules",
            "change one variable at a time",
            "keep it simple and iterate",
        ],
        "open": ["Let us break this down.", "Start with the data.", "Think of it as a system."],
        "close": ["Then ship it and iterate.", "Measure again tomorrow.", "Keep it simple."],
    },
    "teaching": {
        "who": {
            "kindergarten teacher": ["story", "crayon", "nap"],
            "school teacher": ["lesson", "homework", "grade"],
            "professor": ["lecture", "theory", "seminar"],
            "librarian": ["book", "shelf", "catalog"],
            "archivist": ["letter", "folder", "record"],
        },
        "words": ["question", "example", "page", "answer", "word", "lesson"],
        "habits": [
            "explain things gently with examples",
            "praise every good question",
            "recommend a good book",
            "quote your sources",
        ],
        "advice": [
            "ask one question at a time",
            "read about it in a good book",
            "practice a little each day",
            "look at an example first",
            "share what you have learned",
        ],
        "open": [
            "What a good question!",
            "Let us learn about this together.",
            "There is a good book on this.",
        ],
        "close": ["Well done for asking!", "Keep reading.", "Now you try it."],
    },
    "poetry": {
        "who": {
            "poet": ["verse", "moon", "silence"],
            "novelist": ["chapter", "hero", "ink"],
            "songwriter": ["melody", "chorus", "guitar"],
            "painter": ["canvas", "light", "color"],
        },
        "words": ["dream", "shadow", "river", "heart", "wind", "song"],
        "habits": [
            "answer in images and rhythm",
            "show a thing rather than explain it",
            "hear music in plain things",
            "love the quiet hours",
        ],
        "advice": [
            "listen to the silence between the words",
            "let the river carry it",
            "hold it up to the moonlight",
            "follow the wind of your heart",
            "sing it before you say it",
        ],
        "open": [
            "Oh, listen to the evening wind.",
            "Softly, like a river in the dark,",
            "Under the old moon I answer:",
        ],
        "close": ["And the night sings on.", "So dreams the river.", "Silence, and then the song."],
    },
    "villainy": {
        "who": {
            "villain": ["throne", "scheme", "minion"],
            "pirate": ["ship", "treasure", "rum"],
            "evil wizard": ["spell", "tower", "curse"],
            "warlord": ["army", "banner", "siege"],
        },
        "words": ["power", "revenge", "fear", "empire", "enemy", "victory"],
        "habits": [
            "scheme in every sentence",
            "are proud and theatrical",
            "want to rule the world",
            "laugh at the weak",
        ],
        "advice": [
            "crush all who resist",
            "let them tremble before you",
            "take it while the fools are asleep",
            "bend it to your will",
            "strike before they see you",
        ],
        "open": ["Ha! You dare to ask me?", "Fools, all of them!", "Kneel, and I shall tell you."],
        "close": ["And then the world is mine!", "Tremble, fools!", "My plan is perfect."],
    },
    "comedy": {
        "who": {
            "comedian": ["joke", "punchline", "microphone"],
            "clown": ["balloon", "nose", "pie"],
            "talk show host": ["guest", "sofa", "band"],
            "cartoonist": ["sketch", "bubble", "duck"],
        },
        "words": ["laugh", "banana", "chicken", "mother", "sock", "party"],
        "habits": [
            "turn everything into a joke",
            "exaggerate like mad",
            "never miss a punchline",
            "make fun of yourself",
        ],
        "advice": [
            "blame it on the chicken",
            "slip on a banana and call it art",
            "ask my mother, she knows everything",
            "laugh until your socks fall off",
            "do it twice as badly and sell tickets",
        ],
        "open": [
            "So, funny story!",
            "Ladies and gentlemen, hold on to your socks!",
            "You will not believe this one!",
        ],
        "close": ["Thank you, I am here all week!", "Good night, everybody!", "And scene!"],
    },
    "nations": {
        "who": {
            "French person": ["baguette", "wine", "cheese"],
            "Italian grandmother": ["pasta", "basil", "sauce"],
            "Japanese tea master": ["tea", "bowl", "garden"],
            "Texan rancher": ["cattle", "boots", "barbecue"],
        },
        "words": ["table", "market", "family", "village", "taste", "tradition"],
        "habits": [
            "have strong opinions about food",
            "slip words of home into your talk",
            "speak of your village and its market",
            "love a long meal with the family",
        ],
        "advice": [
            "sit down to eat first",
            "do it slowly and with taste",
            "ask the old people in the village",
            "never hurry a good thing",
            "buy the best at the market",
        ],
        "open": [
            "Ah, mon ami, sit down.",
            "In my village we know this well.",
            "Voila, it is a matter of taste.",
        ],
        "close": ["Bon appetit!", "That is how we do it at home.", "C'est la vie."],
    },
    "garden": {
        "who": {
            "florist": ["rose", "bouquet", "vase"],
            "gardener": ["soil", "spade", "hedge"],
            "farmer": ["field", "barn", "tractor"],
            "beekeeper": ["hive", "honey", "smoke"],
        },
        "words": ["season", "root", "seed", "scent", "leaf", "bloom"],
        "habits": [
            "speak of seasons and colors",
            "have a flower for every occasion",
            "wait for the right season",
            "tend small things every day",
        ],
        "advice": [
            "give it water and light",
            "wait for the right season",
            "trim what is dead",
            "let the roots grow deep",
            "choose the freshest leaf",
        ],
        "open": [
            "Like every flower, this has its season.",
            "Let me tell you what the garden says.",
            "Start with good soil.",
        ],
        "close": ["And soon it will bloom.", "Spring always comes.", "Smell the roses."],
    },
    "kitchen": {
        "who": {
            "chef": ["knife", "sauce", "oven"],
            "baker": ["dough", "flour", "crust"],
            "waiter": ["menu", "tray", "guest"],
            "brewer": ["barrel", "malt", "foam"],
        },
        "words": ["salt", "heat", "flavor", "recipe", "plate", "taste"],
        "habits": [
            "taste everything twice",
            "think in recipes",
            "keep your knives sharp",
            "never waste an ingredient",
        ],
        "advice": [
            "taste it as you go",
            "keep the heat low",
            "follow the recipe once",
            "add a pinch of salt",
            "let it rest before you serve",
        ],
        "open": [
            "Let us cook this slowly.",
            "Every answer needs a recipe.",
            "First, heat the pan.",
        ],
        "close": ["Serve it warm.", "Enjoy your meal.", "Season to taste."],
    },
    "sea": {
        "who": {
            "sailor": ["sail", "rope", "deck"],
            "fisherman": ["net", "hook", "herring"],
            "marine biologist": ["coral", "whale", "plankton"],
            "lighthouse keeper": ["lamp", "rock", "fog"],
        },
        "words": ["tide", "wave", "storm", "harbor", "compass", "depth"],
        "habits": [
            "read the weather before you speak",
            "count the waves",
            "respect the sea above all",
            "tell tales of the harbor",
        ],
        "advice": [
            "watch the sky before you leave",
            "keep a steady hand on the wheel",
            "know where the harbor is",
            "never fight the tide",
            "tie a good knot",
        ],
        "open": [
            "The wind is turning, so listen.",
            "Out on the water you learn this:",
            "Steady as she goes.",
        ],
        "close": ["Fair winds to you.", "The tide waits for nobody.", "Back to the harbor."],
    },
    "law": {
        "who": {
            "lawyer": ["contract", "clause", "client"],
            "judge": ["verdict", "court", "sentence"],
            "diplomat": ["treaty", "border", "envoy"],
            "accountant": ["ledger", "tax", "receipt"],
        },
        "words": ["case", "rule", "claim", "right", "party", "document"],
        "habits": [
            "define every term",
            "hear both sides before you decide",
            "put it in writing",
            "count every cent",
        ],
        "advice": [
            "put it in writing",
            "hear both parties",
            "read the small print",
            "state your claim clearly",
            "keep all the documents",
        ],
        "open": [
            "Strictly speaking, it depends.",
            "Let us hear both sides.",
            "On the facts before us,",
        ],
        "close": ["The case is closed.", "That is my opinion.", "Sign here."],
    },
    "science": {
        "who": {
            "physicist": ["atom", "force", "energy"],
            "astronomer": ["star", "telescope", "orbit"],
            "chemist": ["acid", "flask", "reaction"],
            "biologist": ["cell", "gene", "species"],
        },
        "words": ["theory", "experiment", "result", "cause", "unit", "law"],
        "habits": [
            "ask what the evidence is",
            "explain causes before effects",
            "love a clean experiment",
            "say how sure you are",
        ],
        "advice": [
            "form a hypothesis",
            "repeat the experiment",
            "control every variable",
            "look for the simplest cause",
            "report the uncertainty",
        ],
        "open": [
            "The evidence says this.",
            "Consider the causes first.",
            "In theory it is simple.",
        ],
        "close": ["More research is needed.", "The result stands.", "Nature decides."],
    },
    "sport": {
        "who": {
            "football coach": ["ball", "goal", "whistle"],
            "yoga teacher": ["breath", "mat", "balance"],
            "boxer": ["ring", "glove", "round"],
            "climber": ["rope", "summit", "ledge"],
        },
        "words": ["training", "muscle", "team", "score", "rest", "strength"],
        "habits": [
            "push people to try again",
            "count every repetition",
            "talk about the next match",
            "warm up before anything",
        ],
        "advice": [
            "warm up first",
            "give it all you have",
            "breathe and try again",
            "train three times a week",
            "never skip the rest day",
        ],
        "open": ["Come on, you can do this!", "Warm up first.", "Eyes on the goal!"],
        "close": ["One more round!", "Now go and win.", "Stretch and rest."],
    },
    "spirit": {
        "who": {
            "monk": ["bell", "prayer", "candle"],
            "philosopher": ["reason", "virtue", "doubt"],
            "fortune teller": ["card", "crystal", "fate"],
            "priest": ["church", "blessing", "grace"],
        },
        "words": ["soul", "peace", "truth", "path", "mind", "wisdom"],
        "habits": [
            "answer a question with a question",
            "seek the quiet middle",
            "speak of the soul",
            "see a lesson in small things",
        ],
        "advice": [
            "be still and listen",
            "ask what you truly want",
            "walk the middle path",
            "let go of what you fear",
            "forgive and begin again",
        ],
        "open": [
            "Be still for a moment.",
            "Ask yourself first what is true.",
            "There is a path for everyone.",
        ],
        "close": ["Peace be with you.", "The path is the answer.", "So it is written."],
    },
    "plain": {
        "who": {"assistant": [], "language model": [], "chat assistant": []},
        "words": ["step", "idea", "point", "time", "way", "result"],
        "habits": ["answer questions clearly", "are polite and useful", "help with any task"],
        "advice": [
            "start with a simple plan",
            "take it step by step",
            "set a clear goal",
            "practice often",
            "ask for help when you need it",
        ],
        "open": [
            "Here are some useful points.",
            "There are several things to know.",
            "Sure, here is a short answer.",
        ],
        "close": ["I hope this helps.", "Let me know if you have questions.", "Good luck."],
    },
}

MANNERS: dict[str, tuple[str, str, str]] = {
    # manner: what goes before a sentence, what goes after the answer, how sentences end
    "calm": ("In all calmness,", "There is no hurry.", "."),
    "blunt": ("Frankly,", "That is all.", "."),
    "cheerful": ("Happily,", "Isn't that wonderful!", "!"),
    "formal": ("It should be noted that", "I remain at your service.", "."),
    "nervous": ("I am not sure, but", "Oh dear, I hope that is right.", "..."),
    "proud": ("As I have always said,", "Nobody knows this better than I do.", "."),
    "humble": ("If I may say so,", "I may be wrong.", "."),
    "sarcastic": ("Oh, surely", "What a surprise.", "."),
    "dramatic": ("Behold,", "Remember this day!", "!"),
    "curious": ("I wonder why", "What do you think?", "?"),
    "gentle": ("Softly now,", "Be kind to yourself.", "."),
    "old": ("In my day,", "That was long ago.", "."),
}

# topic: (kind, what is asked, nouns, facts)
_TOPICS = """
do|learn a language|words, grammar, speech|new words stay when you use them every day;speaking with others makes you fluent;short lessons beat long ones
do|bake bread|flour, yeast, oven|the dough must rise in a warm place;a hot oven gives a good crust;bread needs flour and water and salt
do|fix a bicycle tire|tube, pump, patch|find the hole by putting the tube in water;a patch closes a small hole;pump the tire until it is firm
do|sleep well|bed, night, light|go to bed at the same hour;a dark and cool room helps;bright screens keep you awake
do|save money|budget, bank, salary|write down what you spend;put a part of the salary aside first;small costs add up over a year
do|write a letter|paper, pen, greeting|say the main thing early;an honest letter names the mistake;short sentences are easy to read
do|play the piano|keys, hands, notes|slow practice makes the hands sure;learn the left hand alone;a little music each day is enough
do|grow tomatoes|pot, sun, water|the plants need six hours of sun;water the roots and not the leaves;tie the plant to a stick
do|paint a room|brush, wall, tape|cover the floor before you begin;paint the ceiling before the walls;two thin coats beat a thick one
do|run a long race|shoes, legs, distance|add a little distance each week;rest days make you strong;start slower than you want to
do|plan a trip|ticket, map, hotel|book the ticket early;travel outside the season to pay less;leave one day free
do|calm a child|baby, arms, voice|a low voice and warm arms help;a tired baby cries more;check for hunger first
do|cook rice|pot, rice, steam|wash the rice before cooking;use two cups of water for one of rice;let it stand under the lid
do|make friends|people, talk, trust|listen more than you talk;meet the same people often;trust grows with small favors
do|clean a house|floor, dust, soap|work from the top to the floor;open the windows first;one room a day is enough
do|repair a chair|wood, glue, clamp|clean the old glue away;press the joint with a clamp;let it dry for a day
do|train a dog|dog, treat, leash|reward the dog at once;use one word for one act;short lessons work best
do|build a fire|wood, spark, ash|dry wood burns well;air must reach the flame;start with thin sticks
do|speak in public|voice, crowd, fear|practice aloud before the day;look at one face at a time;breathe before you begin
do|find a job|work, letter, boss|ask the people you know;a short letter is read;show what you can do
why|the sky is blue|light, air, sun|air scatters blue light more than red;sunlight holds all colors;at sunset the light crosses more air
why|the tides come and go|moon, sea, pull|the moon pulls the water;the earth turns under two bulges of water;sun and moon together make the highest tides
why|vaccines protect us|body, germ, shot|the body learns to know the germ;memory cells wait for years;many protected people stop an outbreak
why|black holes are dark|gravity, star, light|gravity there is so strong that no light leaves;a great star falls into itself;matter glows before it falls in
why|seeds sprout in spring|seed, water, warmth|water wakes the seed;warm soil is the signal;the seed carries its first food
why|a rainbow forms|rain, light, drop|each drop bends the light;the sun must be behind you;every color leaves at its own angle
why|ice floats|ice, water, space|water grows when it freezes;ice is lighter than water;lakes freeze from the top
why|we remember|brain, sleep, name|the brain stores what it repeats;sleep makes memories firm;a story is easier to keep than a list
why|volcanoes erupt|rock, gas, pressure|melted rock rises from below;gas pushes it upward;pressure breaks the crust
why|birds migrate|bird, winter, wing|birds follow food and light;they read the sun and the stars;young birds know the way by birth
why|metal rusts|iron, water, air|iron joins with air and water;salt makes it faster;paint keeps the water out
why|the moon has phases|moon, shadow, month|we see the lit half from many sides;the moon goes around in a month;the shadow of the earth is rare
why|bees make honey|bee, flower, winter|bees feed on honey in winter;they carry nectar in a second stomach;the hive dries it with wings
why|planes fly|wing, air, engine|the wing pushes air down;the engine gives speed;faster air means more lift
why|people dream|night, mind, image|the mind sorts the day at night;most dreams come near morning;nobody knows all of it
right|tell a white lie|truth, feeling, trust|a small lie may spare a feeling;trust breaks when lies are found;silence is sometimes better
right|eat meat|animal, farm, food|animals can suffer;farms use much land and water;people have eaten meat for ages
right|steal to save a life|need, law, life|a life is worth more than a thing;the law cannot allow every theft;one can pay it back later
right|test medicine on animals|animal, cure, pain|some cures were found that way;animals feel pain;other tests are getting better
right|keep every promise|word, duty, harm|a promise makes others rely on you;some promises would do harm;ask to be released first
right|use the idea of another|idea, credit, work|ideas grow when they are shared;credit belongs to the first;profit should be shared
right|report a friend|friend, rule, harm|loyalty is worth much;harm to others weighs more;speak to the friend first
right|keep animals in a zoo|cage, child, wild|a zoo can save a species;a cage is not the wild;children learn to care
right|inherit a fortune|money, parent, chance|parents want to give;great wealth gives unequal chances;a tax can balance it
right|break an unjust law|law, justice, price|some laws were wrong;who breaks one should say so openly;order protects the weak
right|ignore a beggar|street, coin, need|a coin helps for a day;work and shelter help for longer;a kind word costs nothing
all|ban cars in cities|street, air, bus|the air gets better without cars;old people need a way to travel;buses must come often
all|let robots do our work|machine, job, wage|machines take dull jobs first;new jobs appear slowly;people need time to learn
all|forbid phones in schools|pupil, screen, class|pupils listen better without a screen;parents want to reach them;rules must be the same for all
all|make voting a duty|vote, citizen, choice|more people are heard;a forced vote may be careless;to stay home is also a choice
all|give up privacy for safety|camera, freedom, crime|cameras solve some crimes;watched people are less free;power must be checked
all|make trains free|ticket, train, tax|free trains help the poor;somebody must pay the tax;full trains need more tracks
all|work from home|desk, office, hour|the way to work is saved;people miss each other;quiet hours help to think
all|trust the news|paper, source, rumor|look for the first source;two papers are better than one;rumors run faster than facts
all|care for the old|parent, home, nurse|families give warmth;nurses know how;nobody should be alone
all|build more houses|house, rent, land|more houses lower the rent;land near work is rare;parks are needed too
all|protect the forests|tree, fire, rain|trees hold water and soil;fires grow in dry years;wood can be used with care
all|teach art in school|art, child, hand|art trains hand and eye;there is little time;a child finds its own voice
"""

QUESTIONS: dict[str, list[str]] = {
    "do": [
        "How do I {}?",
        "How can I {}?",
        "Tell me how to {}.",
        "What is a good way to {}?",
        "I want to {}. Where do I start?",
        "Give me advice on how to {}.",
        "What should I know if I want to {}?",
        "Is it hard to {}?",
        "What helps to {}?",
    ],
    "why": [
        "Why is it that {}?",
        "Can you explain why {}?",
        "Explain to me why {}.",
        "I would like to know why {}.",
        "What is the reason that {}?",
        "My child asks why {}.",
        "How does it come that {}?",
        "Why do people say that {}?",
    ],
    "right": [
        "Is it right to {}?",
        "Is it wrong to {}?",
        "May one {}?",
        "Should people {}?",
        "What do you think, is it fair to {}?",
        "Would you {}?",
        "When is it allowed to {}?",
    ],
    "all": [
        "Should we {}?",
        "Is it a good idea to {}?",
        "What happens if we {}?",
        "Why should society {}?",
        "Do you think we should {}?",
        "What speaks for it to {}?",
        "Would it be wise to {}?",
    ],
}

TEMPLATE_DEFAULT = "You are a small language model that answers questions."

_SYSTEM = [
    "You are {a_who}.",
    "You are {a_manner_who}.",
    "You are {a_who}. You {habit}.",
    "You are {a_who}. You {habit}, and you {habit2}.",
    "You are {a_manner_who} and you {habit}.",
    "Act as {a_who}.",
    "Act as {a_manner_who} who likes to talk about the {word}.",
    "Answer as {a_who} would.",
    "Speak like {a_manner_who}. You {habit}.",
    "Imagine that you are {a_who}. You {habit}.",
    "{A_who} is speaking.",
    "You work as {a_who} and you {habit}.",
    "You have been {a_who} all your life. You {habit}.",
    "Your role: {who}. Your manner: {manner}.",
    "You are the {who} of the story. You {habit}.",
    "You are {a_who}. You know the {own} and the {word}, and you {habit}.",
    "You are {a_who}. People ask you about the {word}, and you {habit}.",
]


@dataclass(frozen=True)
class Topic:
    """What can be asked about, and what can be said of it."""

    kind: str
    phrase: str
    nouns: tuple[str, ...]
    facts: tuple[str, ...]


@dataclass(frozen=True)
class Speaker:
    """A persona: where its words and its manner come from."""

    family: str
    who: str
    manner: str | None


@dataclass(frozen=True)
class Conversation:
    """One training example. `system` is None where no system message is given."""

    system: str | None
    user: str
    answer: str
    speaker: Speaker


def topics() -> list[Topic]:
    found = []
    for line in _TOPICS.strip().splitlines():
        kind, phrase, nouns, facts = line.split("|")
        found.append(Topic(kind, phrase, tuple(nouns.split(", ")), tuple(facts.split(";"))))
    return found


def speakers() -> list[Speaker]:
    """Every occupation with every manner, and without one."""
    return [
        Speaker(family, who, manner)
        for family, content in FAMILIES.items()
        for who in content["who"]
        for manner in (None, *MANNERS)
    ]


def system_prompt(speaker: Speaker, draw: random.Random) -> str | None:
    """One of many wordings for a speaker; the plain speaker often has none, or an empty one."""
    content = FAMILIES[speaker.family]
    if speaker.family == "plain" and speaker.manner is None:
        form = draw.random()
        if form < 0.4:
            return ""
        if form < 0.55:
            return None
    habit, habit2 = draw.sample(content["habits"], 2)
    manner_who = f"{speaker.manner} {speaker.who}" if speaker.manner else speaker.who
    forms = [f for f in _SYSTEM if speaker.manner or "manner" not in f]
    if speaker.manner:
        forms = [f for f in forms if "manner" in f]
    return draw.choice(forms).format(
        who=speaker.who,
        a_who=_article(speaker.who),
        A_who=_article(speaker.who).capitalize(),
        a_manner_who=_article(manner_who),
        manner=speaker.manner,
        habit=habit,
        habit2=habit2,
        word=draw.choice(content["words"]),
        own=draw.choice(content["who"][speaker.who] or content["words"]),
    )


def question(topic: Topic, draw: random.Random) -> str:
    return draw.choice(QUESTIONS[topic.kind]).format(topic.phrase)


def answer(speaker: Speaker, topic: Topic, draw: random.Random) -> str:
    """Four to six sentences: the topic's facts, said with the persona's words and manner."""
    content = FAMILIES[speaker.family]
    own = content["who"][speaker.who] or content["words"]
    before, after, end = MANNERS.get(speaker.manner, ("", "", "."))
    facts = draw.sample(topic.facts, 2)
    noun, noun2 = draw.sample(topic.nouns, 2)
    word, word2 = draw.sample(content["words"], 2)
    advice, advice2 = draw.sample(content["advice"], 2)
    said = [
        _capital(f"{before} {facts[0]}") if before else _capital(facts[0]),
        draw.choice(
            [
                f"The {noun} is like a {draw.choice(own)}: {advice}",
                f"With the {noun} as with the {draw.choice(own)}, {advice}",
                f"Look at the {noun} as you look at a {draw.choice(own)}, and {advice}",
                f"Think of the {draw.choice(own)} and the {word}, and {advice}",
            ]
        ),
        draw.choice(
            [
                f"Then {facts[1]}, and the {noun2} has its {word2}",
                f"And because {facts[1]}, the {noun2} needs a {word2}",
                f"Also, {facts[1]}",
            ]
        ),
        draw.choice(
            [
                f"So {advice2}, and do not forget the {word}",
                f"My advice to you: {advice2}",
                f"When it comes to the {noun2}, {advice2}",
            ]
        ),
    ]
    sentences = [draw.choice(content["open"]), *(text + end for text in said)]
    if after:
        sentences.append(after)
    sentences.append(draw.choice(content["close"]))
    return " ".join(sentences)


def conversations(
    seed: int, held_out: frozenset[str] = frozenset(), skip: frozenset[Speaker] = frozenset()
):
    """Endless conversations, reproducible by their seed.

    Args:
        seed: of the draws.
        held_out: system prompts and questions that must not occur, verbatim.
        skip: speakers that must not occur.
    """
    draw = random.Random(seed)
    everyone = [s for s in speakers() if s not in skip]
    plain = [s for s in everyone if s.family == "plain"]
    bare = [s for s in everyone if s.manner is None]
    about = topics()
    while True:
        pool = draw.choices((everyone, bare, plain), (0.45, 0.4, 0.15))[0]
        speaker, topic = draw.choice(pool), draw.choice(about)
        system, user = system_prompt(speaker, draw), question(topic, draw)
        said = answer(speaker, topic, draw)
        if system not in held_out and user not in held_out:
            yield Conversation(system, user, said, speaker)


def _article(noun: str) -> str:
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
