#!/usr/bin/env python3
"""rename.py [--apply] [--modes global,file,path] [--kinds struct,enum,...] CHECKOUT

Renames identifiers of renames.tsv in a checkout: in Rust code by token, never inside strings; in comments and
Markdown only inside `backticks` and [`links`]. Without --apply it prints how many places each row has.

mode global    the name is defined once in the crate: every token in src tests examples benches fuzz
mode file      several items have this name: the file that defines it and the files that import it from there
mode path      an enum's variant: `Owner::Old` everywhere, and `Self::Old`/the declaration in the defining file
mode compiler  a method or field whose name is too common: only the definition is renamed; cargo check lists the rest
mode hand, slot, new: not touched
Run it on files at their OLD paths (before `files`), then:  rename.py --files CHECKOUT  moves files and mends mod lines.
"""
import sys,re,os,csv,subprocess
here=os.path.dirname(os.path.abspath(__file__))
args=sys.argv[1:]; apply='--apply' in args
def opt(n,d):
    return args[args.index(n)+1].split(',') if n in args else d
modes=opt('--modes',['global','file','path']); kinds=opt('--kinds',None)
repo=args[-1]; os.chdir(repo)
sys.path.insert(0,here)
TOK=re.compile(r'''(?P<c>//[^\n]*|/\*.*?\*/)|(?P<r>b?r(?P<h>\#*)".*?"(?P=h))|(?P<s>b?"(?:\\.|[^"\\])*")|(?P<q>'(?:\\[^']*|[^\\'])')|(?P<l>'\w+\b)|(?P<i>\b[A-Za-z_]\w*\b)''',re.S|re.X)
def sub_code(text,fn,docfn):
    def one(m):
        if m.group('i') is not None: return fn(m,text)
        if m.group('c') is not None: return docfn(m.group(0))
        return m.group(0)
    return TOK.sub(one,text)
def in_ticks(s,old,new):
    s=re.sub(r'`[^`\n]*`',lambda m: re.sub(r'\b%s\b'%re.escape(old),new,m.group(0)),s)
    return re.sub(r'\]\([^)\n]*\)',lambda m: re.sub(r'\b%s\b'%re.escape(old),new,m.group(0)),s)
rs=[f for f in subprocess.check_output(['git','ls-files','*.rs'],text=True).split()]
md=[f for f in subprocess.check_output(['git','ls-files','*.md'],text=True).split() if not f.startswith('CHANGELOG')]
rows=list(csv.DictReader(open(here+'/renames.tsv'),delimiter='\t'))
if '--files' in args:
    for r in rows:
        if r['kind']!='file' or not os.path.exists(r['old']): continue
        if r['old'].endswith('/'): continue
        if r['old']==r['new'] or os.path.exists(r['new']): print('by hand:',r['old'],'->',r['new'],r['note']); continue
        print('git mv',r['old'],r['new'])
        if apply:
            os.makedirs(os.path.dirname(r['new']),exist_ok=True); subprocess.check_call(['git','mv',r['old'],r['new']])
            a,b=os.path.dirname(r['old']),os.path.dirname(r['new']); x,y=[os.path.basename(r[k]).replace('.rs','') for k in('old','new')]
            if a==b and x!=y:
                for p in ['mod.rs','main.rs','lib.rs','../'+os.path.basename(a)+'.rs']:
                    q=os.path.normpath(os.path.join(a,p))
                    if os.path.exists(q):
                        t=open(q).read(); t=re.sub(r'\bmod %s;'%x,'mod %s;'%y,t); t=re.sub(r'\b%s::'%x,'%s::'%y,t); open(q,'w').write(t)
                for f in os.listdir(a):
                    q=os.path.join(a,f)
                    if f.endswith('.rs'):
                        t=open(q).read(); t=re.sub(r'\b(super|self)::%s\b'%x,r'\1::%s'%y,t); open(q,'w').write(t)
    sys.exit()
import importlib.util
def importers(f):
    import arrows
    return [g for g in arrows.E if f in arrows.E[g]]
try:
    import arrows
    E,_=arrows.build(arrows.files,'src','tower_audit'); B,_=arrows.build(arrows.bins,arrows.binroot,'xx')
    for k in B: E[k]=B[k]
except ImportError: E={}
def stem(f):
    s=os.path.basename(f)[:-3]
    return os.path.basename(os.path.dirname(f)) if s=='mod' else s
def imports_from(name,f): return [g for g in E if name in E[g].get(f,()) or stem(f) in E[g].get(f,()) or 'self' in E[g].get(f,())]
newtype={}
for r in rows:
    if r['kind'] in('struct','enum','trait','type'): newtype[(r['file'],r['old'])]=r['new']
TYPES=('struct','enum','trait','type')
def own_files(r): return [r['file']]+[f for f in rs if f.startswith(r['file'][:-3]+'/')]
_ext={}
EXT=set('std core sqlx tokio http http_body axum serde serde_json jiff clap futures_util tracing tower_service tower_layer bytes uuid smallvec smol_str askama ipnet sha2 hmac base64 rustix tempfile toml serde_saphyr'.split())
def external(name,text):
    k=(name,hash(text))
    if k not in _ext:
        _ext[k]=any(re.search(r'\b%s\b'%name,m.group(2)) and m.group(1) in EXT for m in re.finditer(r'^(?:pub(?:\([^)]*\))? )?use (\w+)([^;]*);',text,re.M)) or re.search(r'\b(sqlx|tokio|std|http|axum|serde|serde_json|jiff|clap)::(\w+::)*%s\b'%name,text) is not None
    return _ext[k]
def mods_above(f):
    d=os.path.dirname(f); out=[]
    while d and d!='.':
        for m in('mod.rs','lib.rs','main.rs'):
            q=os.path.join(d,m)
            if q in texts_names: out.append(q)
        d=os.path.dirname(d)
    return out
texts={f:open(f).read() for f in rs+md}; orig=dict(texts); texts_names=set(texts)
for r in rows:
    if r['kind']=='file' or r['mode'] not in modes or (kinds and r['kind'] not in kinds): continue
    old,new=r['old'],r['new']
    if r['mode']=='global': fs=rs+md
    elif r['mode']=='file':
        own=[r['file']]+[f for f in rs if f.startswith(r['file'][:-3]+'/')]; direct=[g for g in E if old in E[g].get(r['file'],())]; fs=own+imports_from(old,r['file'])+mods_above(r['file'])
    elif r['mode']=='path': fs=rs+md
    else: fs=[r['file']]
    n=0
    for f in dict.fromkeys(fs):
        t=texts[f]
        if not re.search(r'\b%s\b'%re.escape(old),t): continue
        def fn(m,text):
            global n
            if m.group(0)!=old: return m.group(0)
            if re.search(r'\bmod $',text[max(0,m.start()-8):m.start()]): return m.group(0)
            if r['kind']=='macro' and text[m.end():m.end()+2]=='::': return m.group(0)
            before=text[max(0,m.start()-60):m.start()]; after=text[m.end():m.end()+2]
            if r['mode'] in('global','file') and r['kind']!='macro':
                q=re.search(r'(\w+)(?:::<[^>]*>)?::$',before); q=q.group(1) if q else None
                if after[:1]=='!' or re.search(r'\bmod $',before): return m.group(0)
                if r['kind'] in TYPES:
                    if re.search(r'\n {4,}type $',before) or (re.search(r'\n {4,}$',before) and re.match(r'\s*(\(|,| =)',text[m.end():m.end()+3]) and not re.search(r'[=(]\s*\n\s+$',before)): return m.group(0)
                    if f not in own_files(r) and external(old,text): return m.group(0)
                local=(stem(r['file']),'self','super','crate','Self')
                if r['kind'] in TYPES and q and q not in local and (q[:1].isupper() or r['mode']=='file'): return m.group(0)
                if r['kind'] in('fn','const') and r['owner']=='':
                    if re.search(r'\.\s*$',before): return m.group(0)
                    if q and q not in local: return m.group(0)
                    if q=='Self': return m.group(0)
                    inuse=re.search(r'\buse [^;]*$',text[max(0,m.start()-600):m.start()])
                    islocal=re.search(r'\blet (?:mut )?%s\b|\b%s: |\|%s[|,]|\{%s[:}]'%((old,)*4),text)
                    if r['kind']=='fn' and islocal and not inuse and not re.search(r'\bfn $',before) and after[:1]!='(' : return m.group(0)
                    if r['kind']=='fn' and after[:1]==':' and text[m.end():m.end()+3]!='::<': return m.group(0)
                    if re.search(r'\bfn $',before) and re.search(r'\n {4,}[^\n]*fn $',before): return m.group(0)
                if r['mode']=='file' and f not in own and f not in direct and q!=stem(r['file']):
                    if not f.endswith(('mod.rs','lib.rs','main.rs')): return m.group(0)
                if r['mode']=='file' and f.endswith(('mod.rs','lib.rs','main.rs')) and f not in own:
                    line=text[text.rfind(';',0,m.start())+1:m.start()]
                    if not re.search(r'\buse\b',line) or (stem(r['file'])+'::' not in line and os.path.dirname(f)==os.path.dirname(r['file'])): return m.group(0)
            if r['mode']=='path':
                before=text[max(0,m.start()-60):m.start()]
                owner=r['owner']; no=newtype.get((r['file'],owner),owner)
                ok=re.search(r'\b(%s|%s)::$'%(owner,no),before) or (f==r['file'] and re.search(r'(Self::|\n    )$',before))
                if not ok: return m.group(0)
            if r['mode']=='compiler':
                before=text[max(0,m.start()-20):m.start()]
                if not (re.search(r'\bfn $',before) if r['kind']=='method' else re.search(r'(\n    |pub |\) )$',before) and text[m.end():m.end()+1]==':'): return m.group(0)
            n+=1; return new
        if f.endswith('.rs'): texts[f]=sub_code(t,fn,lambda c: in_ticks(c,old,new) if r['mode'] in('global','file') else c)
        elif r['mode']=='global': texts[f]=in_ticks(t,old,new)
    if not apply or n==0: print(n,r['mode'],r['kind'],old,'->',new,r['file'])
if apply:
    for f,t in texts.items():
        if t!=orig[f]: open(f,'w').write(t)
    print('changed',sum(1 for f in texts if texts[f]!=orig[f]),'files')
